/* EXIF's eight orientations: a picture as stored to a picture upright. */
#include "picture/picture_internal.h"

/* The upright pixel (x, y) is the stored pixel `first + x·right + y·down`, in pixels. */
struct turn { ptrdiff_t first, right, down; };

static struct turn turn_of(ptrdiff_t width, ptrdiff_t height, int orientation)
{
    ptrdiff_t last = width - 1, last_row = (height - 1) * width;
    switch (orientation) {
    case 2: return (struct turn){ last, -1, width };
    case 3: return (struct turn){ last_row + last, -1, -width };
    case 4: return (struct turn){ last_row, 1, -width };
    case 5: return (struct turn){ 0, width, 1 };
    case 6: return (struct turn){ last_row, -width, 1 };
    case 7: return (struct turn){ last_row + last, -width, -1 };
    case 8: return (struct turn){ last, width, -1 };
    default: return (struct turn){ 0, 1, width };
    }
}

/* In tiles, so that a quarter turn does not fetch a cache line for each pixel. */
void ood_turn(const unsigned char *rgb, size_t width, size_t height, int orientation, unsigned char *out)
{
    enum { TILE = 32 };
    struct turn turn = turn_of((ptrdiff_t)width, (ptrdiff_t)height, orientation);
    size_t columns = orientation >= 5 ? height : width, rows = orientation >= 5 ? width : height;
    for (size_t top = 0; top < rows; top += TILE)
        for (size_t left = 0; left < columns; left += TILE)
            for (size_t y = top; y < rows && y < top + TILE; y++) {
                unsigned char *to = out + (y * columns + left) * 3;
                const unsigned char *from = rgb + (turn.first + (ptrdiff_t)left * turn.right + (ptrdiff_t)y * turn.down) * 3;
                for (size_t x = left; x < columns && x < left + TILE; x++, to += 3) {
                    to[0] = from[0];
                    to[1] = from[1];
                    to[2] = from[2];
                    if (x + 1 < columns)
                        from += turn.right * 3;
                }
            }
}
