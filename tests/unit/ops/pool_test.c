/* Pools: windows, padding that counts or not, rounding up, and what is refused. */
#include "op_case.h"

static const struct op_case cases[] = {
    { "max, even", "MaxPool", "N,3,8,8", "kernel_shape=2,2 strides=2,2", 0, NULL },
    { "max, window past the border", "MaxPool", "N,1,5,5", "kernel_shape=3,3 pads=1,1,1,1", 0, NULL },
    { "max, stride 2 with pads, as ResNet begins", "MaxPool", "N,16,9,9", "kernel_shape=3,3 strides=2,2 pads=1,1,1,1", 0, NULL },
    { "max, odd size rounded down", "MaxPool", "N,2,7,7", "kernel_shape=2,2 strides=2,2", 0, NULL },
    { "max, rounded up", "MaxPool", "N,2,7,7", "kernel_shape=2,2 strides=2,2 ceil_mode=1", 10, NULL },
    { "max, rounded up 3x3", "MaxPool", "N,5,8,8", "kernel_shape=3,3 strides=2,2 ceil_mode=1", 0, NULL },
    { "max, rounded up where it makes no difference", "MaxPool", "N,2,8,8", "kernel_shape=2,2 strides=2,2 ceil_mode=1", 0, NULL },
    { "max, asymmetric pads", "MaxPool", "N,4,6,6", "kernel_shape=3,3 strides=2,2 pads=0,0,1,1", 0, NULL },
    { "max, SAME_UPPER", "MaxPool", "N,4,7,7", "kernel_shape=2,2 strides=2,2 auto_pad=SAME_UPPER", 0, NULL },
    { "max, SAME_LOWER", "MaxPool", "N,4,7,7", "kernel_shape=2,2 strides=2,2 auto_pad=SAME_LOWER", 0, NULL },
    { "max, VALID", "MaxPool", "N,4,7,7", "kernel_shape=3,3 strides=2,2 auto_pad=VALID", 0, NULL },
    { "max, no strides", "MaxPool", "N,4,6,6", "kernel_shape=2,2", 0, NULL },
    { "max, not square", "MaxPool", "N,3,6,9", "kernel_shape=2,3 strides=1,2", 0, NULL },
    { "max, all of the map", "MaxPool", "N,10,4,4", "kernel_shape=4,4", 0, NULL },
    { "max, 1x1", "MaxPool", "N,3,4,4", "kernel_shape=1,1 strides=2,2", 0, NULL },
    { "max, opset 7", "MaxPool", "N,3,8,8", "kernel_shape=2,2 strides=2,2", 7, NULL },
    { "max, 33 channels", "MaxPool", "N,33,5,5", "kernel_shape=3,3 strides=2,2 pads=1,1,1,1", 0, NULL },

    { "average, even", "AveragePool", "N,3,8,8", "kernel_shape=2,2 strides=2,2", 0, NULL },
    { "average, pads not counted", "AveragePool", "N,3,6,6", "kernel_shape=3,3 pads=1,1,1,1", 0, NULL },
    { "average, pads counted", "AveragePool", "N,3,6,6", "kernel_shape=3,3 pads=1,1,1,1 count_include_pad=1", 0, NULL },
    { "average, pads counted, asymmetric", "AveragePool", "N,3,6,6", "kernel_shape=3,3 strides=2,2 pads=0,0,1,1 count_include_pad=1", 0, NULL },
    { "average, asymmetric pads not counted", "AveragePool", "N,3,6,6", "kernel_shape=3,3 strides=2,2 pads=0,0,1,1", 0, NULL },
    { "average, rounded up", "AveragePool", "N,2,7,7", "kernel_shape=2,2 strides=2,2 ceil_mode=1", 0, NULL },
    { "average, rounded up with pads", "AveragePool", "N,2,6,6", "kernel_shape=3,3 strides=2,2 pads=1,1,1,1 ceil_mode=1", 0, NULL },
    { "average, SAME_UPPER", "AveragePool", "N,4,7,7", "kernel_shape=3,3 strides=2,2 auto_pad=SAME_UPPER", 0, NULL },
    { "average, SAME_UPPER counted", "AveragePool", "N,4,7,7", "kernel_shape=3,3 auto_pad=SAME_UPPER count_include_pad=1", 0, NULL },
    { "average, SAME_LOWER even", "AveragePool", "N,4,8,8", "kernel_shape=2,2 auto_pad=SAME_LOWER", 0, NULL },
    { "average, VALID", "AveragePool", "N,4,7,7", "kernel_shape=2,2 strides=2,2 auto_pad=VALID", 0, NULL },
    { "average, all of the map", "AveragePool", "N,64,8,8", "kernel_shape=8,8", 0, NULL },
    { "average, not square", "AveragePool", "N,3,6,9", "kernel_shape=2,3 strides=2,1", 0, NULL },

    { "global average", "GlobalAveragePool", "N,13,7,5", "", 0, NULL },
    { "global average of 1x1", "GlobalAveragePool", "N,5,1,1", "", 0, NULL },
    { "global average, many channels", "GlobalAveragePool", "N,128,8,8", "", 0, NULL },
    { "global max", "GlobalMaxPool", "N,13,7,5", "", 0, NULL },

    { "max, dilated by 1", "MaxPool", "N,3,8,8", "kernel_shape=2,2 dilations=1,1", 10, NULL },
    { "max, no kernel", "MaxPool", "N,3,8,8", "", 0, "kernel_shape" },
    { "max, kernel larger than the map", "MaxPool", "N,3,2,2", "kernel_shape=3,3", 0, "kernel" },
    { "max, pad as large as the kernel", "MaxPool", "N,3,8,8", "kernel_shape=2,2 pads=2,2,2,2", 0, "pad" },
    { "max, columns before rows", "MaxPool", "N,3,8,8", "kernel_shape=2,2 storage_order=1", 0, "storage_order" },
    { "max, 1-D", "MaxPool", "N,3,8", "kernel_shape=2,", 0, "4 dimensions" },
    { "average, stride 0", "AveragePool", "N,3,8,8", "kernel_shape=2,2 strides=0,0", 0, "strides" },
};

int main(void) { return op_cases_run("pool", cases, sizeof cases / sizeof *cases, false); }
