#!/usr/bin/python3
"""Writes reference.txt: inputs and what they must give, computed here from METHOD's definitions, the plain O(n m) way and
by other algorithms than the engine's (NumPy only). Run: /usr/bin/python3 tests/data/score/make.py > tests/data/score/reference.txt

A record is: a word, its number of values, the values. Floats of the network are printed so that float32 reads them back.
"""
import math
from fractions import Fraction
import numpy as np

random = np.random.default_rng(20240817)


def put(word, values):
    values = np.atleast_1d(np.asarray(values)).ravel()
    text = str if values.dtype == np.float32 else lambda v: repr(float(v))
    print(word, len(values), " ".join(text(v) for v in values))


# ---- METHOD 2: scores, against longdouble ----
def scores():
    for case, (classes, dimension, temperature, scale) in enumerate(
            [(10, 128, 1.0, 5.0), (1, 1, 1.0, 1.0), (2, 3, 2.5, 100.0), (37, 9, 0.1, 1e4), (100, 65, 1.0, 0.0)]):
        logits = (random.standard_normal(classes) * scale).astype(np.float32)
        features = np.abs(random.standard_normal(dimension)).astype(np.float32)
        prototypes = random.standard_normal((classes, dimension))
        prototypes = (prototypes / np.linalg.norm(prototypes, axis=1, keepdims=True)).astype(np.float32)
        f, h, c = (a.astype(np.longdouble) for a in (logits, features, prototypes))
        t = np.longdouble(temperature)
        energy = -t * (np.log(np.sum(np.exp(f / t - np.max(f / t)))) + np.max(f / t))
        z = h / np.sqrt(np.sum(h * h))
        d = 1 - c @ z
        softmax = np.exp(f - np.max(f)) / np.sum(np.exp(f - np.max(f)))
        order = sorted(range(classes), key=lambda k: (d[k], k))[:3]
        top = sorted(range(classes), key=lambda k: (-logits[k], k))
        put("scores", [classes, dimension, temperature])
        put("logits", logits)
        put("features", features)
        put("prototypes", prototypes)
        put("energy", energy)
        put("distances", d)
        put("softmax", softmax)
        put("nearest", order)
        put("top", top)


# ---- METHOD 5: ranking, every pair and every threshold ----
def auroc(inside, outside):
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside) / (len(inside) * len(outside))


def average_precision(positive, negative):
    total, before = 0.0, 0.0
    for limit in sorted(set(positive) | set(negative), reverse=True):
        tp = sum(1 for v in positive if v >= limit)
        fp = sum(1 for v in negative if v >= limit)
        recall = tp / len(positive)
        total += (recall - before) * tp / (tp + fp)
        before = recall
    return total


def detection_error(inside, outside):
    best = 0.5
    for limit in sorted(set(inside) | set(outside)):
        tpr = sum(1 for v in inside if v >= limit) / len(inside)
        fpr = sum(1 for v in outside if v >= limit) / len(outside)
        best = min(best, 0.5 * (1 - tpr) + 0.5 * fpr)
    return best


def ranking():
    cases = [([1.0], [0.0]), ([0.0], [1.0]), ([2.0, 2.0], [2.0, 2.0, 2.0])]
    cases.append((random.normal(1, 1, 200).round(7), random.normal(0, 1, 150).round(7)))                   # no ties
    cases.append((np.round(random.normal(1, 1, 199), 1), np.round(random.normal(0, 1, 301), 1)))
    cases.append((random.integers(0, 4, 41), random.integers(-1, 3, 60)))                # almost all tied
    cases.append((random.normal(0, 1, 20), random.normal(0, 1, 19)))
    cases.append((random.normal(5, 1, 19), random.normal(-5, 1, 21)))                    # apart
    for inside, outside in cases:
        inside, outside = [float(v) for v in inside], [float(v) for v in outside]
        limit = sorted(inside)[math.floor(Fraction(5, 100) * len(inside))]
        put("rank_in", inside)
        put("rank_out", outside)
        put("ranking", [auroc(inside, outside), sum(1 for v in outside if v >= limit) / len(outside),
                        average_precision(inside, outside),
                        average_precision([-v for v in outside], [-v for v in inside]),
                        detection_error(inside, outside)])


# ---- METHOD 2: beta ----
def beta():
    for shift_e, shift_d in [(1.0, 1.0), (0.2, 1.5), (2.0, 0.1), (0.0, -1.0)]:
        in_e, in_d = random.normal(0, 1, 60).round(5), random.normal(0, 1, 60).round(5)
        out_e, out_d = random.normal(shift_e, 1, 50).round(5), random.normal(shift_d, 1, 50).round(5)
        table = []
        for step in range(21):
            b = step / 20
            fuse = lambda e, d: [-((1 - b) * float(x) + b * float(y)) for x, y in zip(e, d)]
            table.append((-auroc(fuse(in_e, in_d), fuse(out_e, out_d)), abs(step - 10), step))
        for word, values in (("beta_in_e", in_e), ("beta_in_d", in_d), ("beta_out_e", out_e), ("beta_out_d", out_d)):
            put(word, values)
        put("beta", min(table)[2] / 20)


# ---- METHOD 4: Fisher, in exact fractions of the Poisson sum ----
def fisher():
    for p in [[0.5], [1.0], [0.01, 0.02], [0.9, 0.8, 0.99, 1.0], [1e-300], [1e-12] * 5, list(random.uniform(0, 1, 40).round(4)),
              list(random.uniform(0.001, 1, 300).round(4)), list(random.uniform(0.001, 0.9, 300).round(4)), [0.05] * 100]:
        y = Fraction(-sum(math.log(v) for v in p))
        y = Fraction(y.numerator * (1 << 200) // y.denominator, 1 << 200)
        total, term = 0, 1 << 400                        # fixed point: 400 bits and more
        scale = 1 << 400
        term = scale
        for i in range(len(p)):
            total += term
            term = term * y.numerator // y.denominator // (i + 1)
        logarithm = (total.bit_length() - 60) * math.log(2) + math.log(total >> (total.bit_length() - 60)) if total.bit_length() > 60 else math.log(total)
        value = math.exp(logarithm - 400 * math.log(2) - float(y))
        put("fisher_p", p)
        put("fisher", min(value, 1.0))


# ---- METHOD 8: Kolmogorov-Smirnov by Marsaglia, Tsang and Wang (2003), another way than the engine's ----
def ks_cdf(d, n):
    k = int(n * d) + 1
    m = 2 * k - 1
    h = k - n * d
    H = np.array([[1.0 if i - j + 1 >= 0 else 0.0 for j in range(m)] for i in range(m)])
    for i in range(m):
        H[i, 0] -= h ** (i + 1)
        H[m - 1, i] -= h ** (m - i)
    H[m - 1, 0] += (2 * h - 1) ** m if 2 * h - 1 > 0 else 0
    for i in range(m):
        for j in range(m):
            if i - j + 1 > 0:
                H[i, j] *= math.exp(-math.lgamma(i - j + 2))
    log_scale, Q = 0.0, np.eye(m)
    base, power, base_log = H, n, 0.0
    while power:
        if power & 1:
            Q = Q @ base
            log_scale += base_log
            top = np.abs(Q).max()
            Q, log_scale = Q / top, log_scale + math.log(top)
        base = base @ base
        base_log *= 2
        top = np.abs(base).max()
        base, base_log = base / top, base_log + math.log(top)
        power >>= 1
    return Q[k - 1, k - 1] * math.exp(log_scale + math.lgamma(n + 1) - n * math.log(n))


def drift():
    for n, values in [(1, [0.3]), (4, [0.1, 0.4, 0.7, 1.0]), (50, None), (300, None)]:
        values = random.uniform(0, 1, n) ** 1.1 if values is None else values
        ordered = sorted(float(v) for v in values)
        put("ks_values", values)
        put("ks", max(max((i + 1) / n - v, v - i / n) for i, v in enumerate(ordered)))
    rows = []
    for n in (1, 2, 3, 10, 50, 127, 128, 129, 200, 500, 1000, 4000):
        for z in (0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.6, 1.8, 2.2):
            d = z / math.sqrt(n)
            if 0.5 / n < d < 1:
                rows += [n, d, max(1 - ks_cdf(d, n), 0.0)]
    put("ks_p", rows)


scores()
ranking()
beta()
fisher()
drift()
