/* Writes jpeg/: JPEGs with sampling factors that TurboJPEG has no name for, and one of two components.
 * cc odd_jpegs.c -ljpeg -o odd_jpegs && ./odd_jpegs */
#include <stdio.h>

#include <jpeglib.h>

static const struct { const char *file; int components, factors[6]; } kinds[] = {
    { "jpeg/sampling_22_12_21.jpg", 3, { 2, 2, 1, 2, 2, 1 } },
    { "jpeg/sampling_41_11_21.jpg", 3, { 4, 1, 1, 1, 2, 1 } },
    { "jpeg/sampling_14_11_12.jpg", 3, { 1, 4, 1, 1, 1, 2 } },
    { "jpeg/two_components.jpg", 2, { 1, 1, 1, 1 } },
};

int main(void)
{
    enum { WIDTH = 61, HEIGHT = 47 };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct jpeg_compress_struct jpeg;
        struct jpeg_error_mgr errors;
        unsigned char bytes[WIDTH * 3];
        FILE *file = fopen(kinds[i].file, "wb");
        if (file == NULL)
            return 1;
        jpeg.err = jpeg_std_error(&errors);
        jpeg_create_compress(&jpeg);
        jpeg_stdio_dest(&jpeg, file);
        jpeg.image_width = WIDTH;
        jpeg.image_height = HEIGHT;
        jpeg.input_components = kinds[i].components;
        jpeg.in_color_space = kinds[i].components == 3 ? JCS_RGB : JCS_UNKNOWN;
        jpeg_set_defaults(&jpeg);
        for (int c = 0; c < kinds[i].components; c++) {
            jpeg.comp_info[c].h_samp_factor = kinds[i].factors[2 * c];
            jpeg.comp_info[c].v_samp_factor = kinds[i].factors[2 * c + 1];
        }
        jpeg_start_compress(&jpeg, TRUE);
        for (int y = 0; y < HEIGHT; y++) {
            for (int x = 0; x < WIDTH * 3; x++)
                bytes[x] = (unsigned char)(x * 13 / 10 + y * 2);
            JSAMPROW row = bytes;
            jpeg_write_scanlines(&jpeg, &row, 1);
        }
        jpeg_finish_compress(&jpeg);
        jpeg_destroy_compress(&jpeg);
        fclose(file);
    }
    return 0;
}
