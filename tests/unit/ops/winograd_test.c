/* Conv where our Winograd kernel serves it: shapes, paddings, what follows, sums from every place. */
#include "op_case.h"

#define P "pads=1,1,1,1"
#define X "x=N,16,8,8 w=16,16,3,3"
#define XB X " b=16"

static const struct op_case cases[] = {
    { "32 channels", "Conv", "N,32,8,8 32,32,3,3", P, 0, NULL },
    { "with bias", "Conv", "N,16,8,8 32,16,3,3 32", P, 0, NULL },
    { "kernel_shape said", "Conv", "N,16,8,8 32,16,3,3 32", "kernel_shape=3,3 strides=1,1 dilations=1,1 group=1 " P, 0, NULL },
    { "a batch the file fixes", "Conv", "!3,16,8,8 32,16,3,3 32", P, 0, NULL },
    { "one tile", "Conv", "N,16,4,4 24,16,3,3", P, 0, NULL },
    { "channels that fill no vector", "Conv", "N,17,7,7 19,17,3,3 19", P, 0, NULL },
    { "not square", "Conv", "N,20,4,11 18,20,3,3 18", P, 0, NULL },
    { "no pads", "Conv", "N,16,10,9 16,16,3,3 16", "", 0, NULL },
    { "asymmetric pads", "Conv", "N,16,7,7 16,16,3,3 16", "pads=0,1,2,1", 0, NULL },
    { "pads wider than half the kernel", "Conv", "N,16,5,5 16,16,3,3 16", "pads=2,2,2,2", 0, NULL },
    { "auto_pad SAME_UPPER", "Conv", "N,16,8,8 16,16,3,3 16", "auto_pad=SAME_UPPER", 0, NULL },
    { "auto_pad SAME_LOWER", "Conv", "N,16,8,8 16,16,3,3 16", "auto_pad=SAME_LOWER", 0, NULL },
    { "auto_pad VALID", "Conv", "N,16,10,10 16,16,3,3 16", "auto_pad=VALID", 0, NULL },
    { "several blocks of tiles", "Conv", "N,16,33,18 16,16,3,3", P, 0, NULL },

    { "Relu", "c = Conv(x, w, b) " P "; y = Relu(c)", XB, NULL, 0, NULL },
    { "LeakyRelu", "c = Conv(x, w) " P "; y = LeakyRelu(c) alpha=0.2", X, NULL, 0, NULL },
    { "Sigmoid", "c = Conv(x, w) " P "; y = Sigmoid(c)", X, NULL, 0, NULL },
    { "Clip", "c = Conv(x, w) " P "; y = Clip(c, lo, hi)", X " lo=(0) hi=(6)", NULL, 0, NULL },
    { "BN Relu", "c = Conv(x, w) " P "; n = BatchNormalization(c, s, t, m, v); y = Relu(n)", X " s=16 t=16 m=16 v=+16", NULL, 0, NULL },
    { "bias and channel bias", "c = Conv(x, w, b) " P "; y = Add(c, d)", XB " d=16,1,1", NULL, 0, NULL },
    { "functions in a row", "c = Conv(x, w) " P "; r = Relu(c); l = Clip(r, lo, hi); y = Sigmoid(l)", X " lo=(0.5) hi=(3)", NULL, 0, NULL },
    { "SiLU, the other way round", "c = Conv(x, w, b) " P "; s = Sigmoid(c); y = Mul(s, c)", XB, NULL, 0, NULL },
    { "SiLU that others read", "c = Conv(x, w) " P "; s = Sigmoid(c); m = Mul(c, s); y = Add(m, c)", X, NULL, 0, NULL },
    { "SiLU, then a sum", "c = Conv(x, w) " P "; s = Sigmoid(c); m = Mul(c, s); y = Add(m, x)", X, NULL, 0, NULL },
    { "HardSwish", "c = Conv(x, w, b) " P "; y = HardSwish(c)", XB, NULL, 14, NULL },
    { "HardSwish in two", "c = Conv(x, w) " P "; h = HardSigmoid(c) alpha=0.16666667 beta=0.5; y = Mul(c, h)", X, NULL, 0, NULL },
    { "another slope in two", "c = Conv(x, w) " P "; h = HardSigmoid(c); y = Mul(c, h)", X, NULL, 0, NULL },
    { "HardSigmoid", "c = Conv(x, w) " P "; y = HardSigmoid(c)", X, NULL, 0, NULL },
    { "sum, then SiLU", "c = Conv(x, w) " P "; a = Add(c, z); s = Sigmoid(a); y = Mul(a, s)", X " z=N,16,8,8", NULL, 0, NULL },
    { "groups", "c = Conv(x, w, b) group=3 pads=1,1,1,1; y = Relu(c)", "x=N,48,9,7 w=48,16,3,3 b=48", NULL, 0, NULL },
    { "groups with a sum", "c = Conv(x, w) group=2 pads=1,0,2,1; y = Add(c, z)", "x=N,64,9,7 w=32,32,3,3 z=N,32,10,6", NULL, 0, NULL },
    { "SiLU", "c = Conv(x, w) " P "; s = Sigmoid(c); y = Mul(c, s)", X, NULL, 0, NULL },

    { "sum of an input", "c = Conv(x, w, b) " P "; a = Add(c, z); y = Relu(a)", XB " z=N,16,8,8", NULL, 0, NULL },
    { "sum of its own source", "c = Conv(x, w) " P "; a = Add(c, x); y = Relu(a)", X, NULL, 0, NULL },
    { "sum of its own source, made by another", "p = Relu(x); c = Conv(p, w) " P "; a = Add(p, c); y = Relu(a)", X, NULL, 0, NULL },
    { "sum over a residual's memory", "p = Conv(x, w) " P "; r = Relu(p); q = Conv(r, v, b) " P "; a = Add(q, p); y = Relu(a)",
      XB " v=16,16,3,3", NULL, 0, NULL },
    { "sum that others read later", "p = Conv(x, w) " P "; q = Conv(p, v, b) " P "; a = Add(q, p); r = Relu(a); y = Mul(r, p)",
      XB " v=16,16,3,3", NULL, 0, NULL },
    { "sum of a constant map", "c = Conv(x, w) " P "; y = Add(c, z)", X " z=16,8,8", NULL, 0, NULL },
    { "functions, sum, functions", "c = Conv(x, w, b) " P "; r = Relu(c); a = Add(r, z); y = Relu(a)", XB " z=N,16,8,8", NULL, 0, NULL },
    { "two sums", "c = Conv(x, w) " P "; a = Add(c, z); s = Relu(a); d = Add(s, u); y = Sigmoid(d)", X " z=N,16,8,8 u=N,16,8,8", NULL, 0, NULL },
    { "the same sum twice", "c = Conv(x, w) " P "; a = Add(c, z); r = Relu(a); y = Add(r, z)", X " z=N,16,8,8", NULL, 0, NULL },
    { "a sum in NCHW", "c = Conv(x, w) " P "; s = Softmax(z) axis=3; a = Add(c, s); y = Relu(a)", X " z=N,16,8,8", NULL, 0, NULL },
    { "behind a direct convolution", "p = Conv(x, w) " P " strides=2,2; q = Relu(p); y = Conv(q, v, b) " P,
      "x=N,3,16,16 w=16,3,3,3 v=32,16,3,3 b=32", NULL, 0, NULL },
    { "a wide residual block", "n = BatchNormalization(x, s, t, m, v); r = Relu(n); c = Conv(r, w) " P "; d = BatchNormalization(c, s, t, m, v); e = Relu(d); "
      "f = Conv(e, w) " P "; y = Add(f, x)", X " s=16 t=16 m=16 v=+16", NULL, 0, NULL },
};

int main(void) { return op_cases_run_winograd("winograd", cases, sizeof cases / sizeof *cases); }
