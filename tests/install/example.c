/* What a stranger writes who has the installed ood.h and its comment: the verdict on one picture.
 *
 *     cc example.c $(pkg-config --cflags --libs ood) -o example && ./example BUNDLE PICTURE */
#include <ood.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned char bytes[1 << 20];

int main(int argc, char **argv)
{
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (file == NULL) {
        fprintf(stderr, "usage: example BUNDLE PICTURE\n");
        return 2;
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);

    int status = EXIT_FAILURE;
    struct ood_error err = { 0 };
    struct ood_scorer *scorer = ood_scorer_open(argv[1], NULL, &err);
    struct ood_session *session = scorer != NULL ? ood_scorer_session(scorer, &err) : NULL;
    struct ood_item item = { .picture = bytes, .picture_size = size };
    struct ood_verdict verdict;
    if (session == NULL || !ood_score(scorer, session, &item, 1, &verdict, NULL, &err))
        fprintf(stderr, "%s: %s\n", ood_code_name(err.code), err.message);
    else if (verdict.error.code != OOD_OK)
        fprintf(stderr, "%s: %s\n", argv[2], verdict.error.message);
    else {
        printf("%s %s\n", ood_decision_name(verdict.decision), ood_scorer_label(scorer, verdict.class_index));
        status = EXIT_SUCCESS;
    }
    ood_session_free(session);
    ood_scorer_free(scorer);
    return status;
}
