#!/usr/bin/python3
"""Writes contenders.txt: three small last layers, fit pictures and items, and every score of engine/eval/contenders.h there by NumPy and
SciPy, as the papers' own code computes them. Run (Debian: python3-scipy):

    /usr/bin/python3 tests/data/eval/contenders.py > tests/data/eval/contenders.txt

A record is: a word, its number of values, the values."""
import numpy as np
from scipy.linalg import pinvh
from scipy.special import logsumexp, softmax

random = np.random.default_rng(20261125)


def put(word, values):
    values = np.atleast_1d(np.asarray(values)).ravel()
    text = str if values.dtype == np.float32 else lambda v: repr(float(v))
    print(word, len(values), " ".join(text(v) for v in values))


def ash(x, percentile, binary):
    """ash_s and ash_b of the authors' code, on one vector."""
    s1 = x.sum()
    k = len(x) - int(np.round(len(x) * percentile / 100.0))
    order = np.argsort(-x, kind="stable")[:k]
    y = np.zeros_like(x)
    if binary:
        y[order] = s1 / k
        return y
    y[order] = x[order]
    return y * np.exp(s1 / y.sum())


# classes, features, fit pictures, k, dead features: zero everywhere, so that the covariance is singular
for case, (K, D, n, k, dead) in enumerate([(3, 8, 40, 5, 0), (10, 16, 120, 50, 3), (5, 4, 30, 1, 0)]):
    W, b = random.normal(0, 1, (K, D)).astype(np.float32), random.normal(0, 1, K).astype(np.float32)
    centres = np.abs(random.normal(0, 2, (K, D)))
    classes = np.arange(n) % K
    fit = np.maximum(centres[classes] + random.normal(0, 1, (n, D)), 0).round(3).astype(np.float32)
    items = np.maximum(random.normal(1, 2, (7, D)), 0).round(3).astype(np.float32)
    items[:, 1] = np.maximum(items[:, 1], 0.5)
    items[0] = fit[3]                                  # an item among the fit pictures
    if dead:
        fit[:, -dead:] = 0
        items[:3, -dead:] = 0
    put("case", [K, D, n, k, len(items)])
    put("weights", W)
    put("bias", b)
    put("fit", fit)
    put("classes", classes)
    put("items", items)
    W, b, fit, items = (a.astype(np.float64) for a in (W, b, fit, items))
    logits, fit_logits = items @ W.T + b, fit @ W.T + b

    put("msp", softmax(logits, axis=1).max(1))
    put("max_logit", logits.max(1))
    p = -np.sort(-softmax(logits, axis=1), axis=1)[:, :4]                # M = 4
    put("gen", -(p ** 0.1 * (1 - p) ** 0.1).sum(1))
    unit = lambda a: a / np.linalg.norm(a, axis=1, keepdims=True)
    means = unit(np.array([unit(fit)[classes == c].mean(0) for c in range(K)]))
    put("cosine", (unit(items) @ means.T).max(1))
    distances = np.linalg.norm(unit(items)[:, None] - unit(fit)[None], axis=2)
    put("knn", -np.sort(distances, axis=1)[:, k - 1])
    means = np.array([fit[classes == c].mean(0) for c in range(K)])
    centred = fit - means[classes]
    precision = pinvh(centred.T @ centred / n, rtol=D * np.finfo(float).eps)
    put("mahalanobis", -np.array([[(x - m) @ precision @ (x - m) for m in means] for x in items]).min(1))
    u = -np.linalg.pinv(W) @ b
    values, vectors = np.linalg.eigh((fit - u).T @ (fit - u) / n)
    residual = vectors[:, np.argsort(-values)[D // 2:]]
    length = lambda a: np.linalg.norm((a - u) @ residual, axis=1)
    alpha = fit_logits.max(1).mean() / length(fit).mean()
    put("vim", logsumexp(logits, axis=1) - alpha * length(items))
    put("react", logsumexp(np.minimum(items, np.percentile(fit, 90)) @ W.T + b, axis=1))
    for word, percentile, binary in (("ash_s", 60, False), ("ash_b", 65, True)):
        put(word, logsumexp(np.array([ash(x, percentile, binary) for x in items]) @ W.T + b, axis=1))
