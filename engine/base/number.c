/* Numbers as text in the "C" locale: a locale object of our own for reading, and a decimal point put back for printing. */
#include "base/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

bool ood_parse_double(const char *text, double *out)
{
    if (!((text[0] >= '0' && text[0] <= '9') || text[0] == '-' || text[0] == '+' || text[0] == '.'))
        return false;
    pthread_once(&c_locale_once, make_c_locale);
    if (c_locale == (locale_t)0)
        return false;
    char *end;
    double value = strtod_l(text, &end, c_locale);
    if (end == text || *end != '\0' || !isfinite(value))
        return false;
    *out = value;
    return true;
}

bool ood_parse_uint64(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    *out = value;
    return true;
}

bool ood_parse_size(const char *text, size_t *out)
{
    uint64_t value;
    if (!ood_parse_uint64(text, &value) || value > SIZE_MAX)
        return false;
    *out = (size_t)value;
    return true;
}

/* ---- printing ---- */

/* value as "%.{digits}g" prints it, whatever the locale's point. */
static void print_digits(double value, int digits, char text[OOD_NUMBER_TEXT])
{
    snprintf(text, OOD_NUMBER_TEXT, "%.*g", digits, value);
    for (char *c = text; *c != '\0'; c++)
        if (*c == ',')
            *c = '.';
}

/* scaled / 2^shift to the nearest multiple of unit, ties to the even multiple. Below 2^64. */
static uint64_t round_to(unsigned __int128 scaled, unsigned shift, uint64_t unit)
{
    uint64_t whole = (uint64_t)(scaled >> shift), multiple = whole / unit;
    unsigned __int128 rest = scaled - ((unsigned __int128)(multiple * unit) << shift);
    unsigned __int128 half = ((unsigned __int128)unit << shift) / 2;
    return (multiple + (rest > half || (rest == half && multiple % 2 == 1))) * unit;
}

/* digits / 10^decimals without trailing zeros. */
static void print_fixed(uint64_t digits, unsigned decimals, bool negative, char text[OOD_NUMBER_TEXT])
{
    char reversed[OOD_NUMBER_TEXT];
    size_t length = 0, out = 0;
    while (decimals > 0 && digits % 10 == 0) {
        digits /= 10;
        decimals--;
    }
    for (unsigned i = 0; digits > 0 || i <= decimals; i++, digits /= 10) {
        if (i == decimals && i > 0)
            reversed[length++] = '.';
        reversed[length++] = (char)('0' + digits % 10);
    }
    if (negative)
        text[out++] = '-';
    while (length > 0)
        text[out++] = reversed[--length];
    text[out] = '\0';
}

/* The same answer as by trying, for 1e-4 <= |value| < 1e15, some twenty times as fast: an answer of the service has a dozen
 * numbers. value = mantissa · 2^-shift; scaled by the power of ten that leaves 17 digits in front of the point, value is
 * exactly scaled / 2^shift in 128 bits (mantissa < 2^53, 10^20 < 2^67), and a decimal reads back as value if it is nearer than
 * half a unit in the last place, which is 10^decimals / 2 in units of scaled; at a power of two the one below is half as wide. */
static bool print_quickly(double value, char text[OOD_NUMBER_TEXT])
{
    static const uint64_t powers[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000 };
    double magnitude = fabs(value);
    int exponent;
    if (!(magnitude >= 1e-4 && magnitude < 1e15))
        return false;
    uint64_t mantissa = (uint64_t)ldexp(frexp(magnitude, &exponent), 53);
    unsigned shift = (unsigned)(53 - exponent), decimals = 16;
    for (double bound = 10; magnitude >= bound; bound *= 10)
        decimals--;
    for (double bound = 1; magnitude < bound; bound /= 10)
        decimals++;
    unsigned __int128 power = 1;
    for (unsigned left = decimals; left > 0; left -= left > 9 ? 9 : left)
        power *= powers[left > 9 ? 9 : left];
    unsigned __int128 scaled = mantissa * power;
    for (uint64_t unit = 100; unit >= 1; unit /= 10) {
        uint64_t digits = round_to(scaled, shift, unit);
        unsigned __int128 decimal = (unsigned __int128)digits << shift;
        bool below = decimal < scaled;
        unsigned __int128 distance = below ? scaled - decimal : decimal - scaled;
        unsigned __int128 room = below && mantissa == UINT64_C(1) << 52 ? power / 2 : power;
        if (unit == 1 || distance * 2 < room || (distance * 2 == room && mantissa % 2 == 0)) {
            print_fixed(digits, decimals, value < 0, text);
            return true;
        }
    }
    return false;
}

void ood_print_double(double value, char text[OOD_NUMBER_TEXT])
{
    if (print_quickly(value, text))
        return;
    for (int digits = 15; digits <= 17; digits++) {
        double back;
        print_digits(value, digits, text);
        if (digits == 17 || (ood_parse_double(text, &back) && back == value))
            return;
    }
}

double ood_float_as_double(float value)
{
    for (int digits = 6; digits < 9; digits++) {
        char text[OOD_NUMBER_TEXT];
        double back;
        print_digits((double)value, digits, text);
        if (ood_parse_double(text, &back) && (float)back == value)
            return back;
    }
    return (double)value;
}
