#!/bin/sh
# Writes presets.c to standard output: the declarations named (presets/NAME.json …) as C strings, in the order given.
echo '/* Made by presets.sh. */'
echo '#include <string.h>'
echo
echo '#include "bundle/bundle.h"'
echo
echo 'static const struct { const char *name, *text; } presets[] = {'
for file; do
    name=${file##*/}
    printf '    { "%s",\n' "${name%.json}"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/      "&\\n"/' "$file"
    echo '    },'
done
cat <<'C'
};

#define COUNT (sizeof presets / sizeof presets[0])

const char *ood_declaration_preset(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(presets[i].name, name) == 0)
            return presets[i].text;
    return NULL;
}

const char *ood_declaration_preset_name(size_t i)
{
    return i < COUNT ? presets[i].name : NULL;
}
C
