#!/usr/bin/python3
"""Writes figures.txt: 200 random cases with ties and what METHOD section 5's figures are there, by scikit-learn, SciPy and NumPy.
The scores are not recorded: this generator is written once more in the test. Run (Debian: python3-sklearn, python3-scipy):

    /usr/bin/python3 tests/data/eval/figures.py > tests/data/eval/figures.txt

A line: seed n m levels shift, then auroc fpr95 aupr_in aupr_out detection_error, liu's fpr95 (of the first fifth of n outliers, so that
nothing is drawn), openood's fpr95 aupr_in aupr_out, aurc."""
import warnings
import numpy as np
from scipy.stats import mannwhitneyu
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

warnings.simplefilter("ignore")
MASK = (1 << 64) - 1


class Generator:
    def __init__(self, seed):
        self.x = seed

    def below(self, limit):
        self.x = (self.x * 6364136223846793005 + 1442695040888963407) & MASK
        return (self.x >> 33) % limit


def curve(positive, scores):
    """Distinct thresholds from the greatest down: counts of positives and negatives at least that."""
    limits = np.unique(scores)[::-1]
    return np.array([(scores[positive] >= t).sum() for t in limits]), np.array([(scores[~positive] >= t).sum() for t in limits])


def liu(inside, outside):
    """Hendrycks' fpr_and_fdr_at_recall, which Liu et al. use."""
    scores, positive = np.r_[inside, outside], np.r_[np.ones(len(inside), bool), np.zeros(len(outside), bool)]
    tps, fps = curve(positive, scores)
    recall = tps / tps[-1]
    last = tps.searchsorted(tps[-1])
    back = slice(last, None, -1)
    recall, fps = np.r_[recall[back], 1], np.r_[fps[back], 0]
    return fps[np.argmin(np.abs(recall - 0.95))] / len(outside)


for seed in range(1, 201):
    g = Generator(seed)
    n, m, levels, shift = 1 + g.below(300), 1 + g.below(300), (2, 5, 20, 100, 1000)[g.below(5)], g.below(9)
    inside = np.array([g.below(levels) / levels * 8 + g.below(levels) / levels * 8 + shift / 2 for _ in range(n)])
    outside = np.array([g.below(levels) / levels * 8 + g.below(levels) / levels * 8 for _ in range(m)])
    correct = np.array([g.below(10) < 7 for _ in range(n)])
    scores, labels = np.r_[inside, outside], np.r_[np.ones(n), np.zeros(m)]
    limit = np.sort(inside)[n * 5 // 100]
    tps, fps = curve(labels == 1, scores)
    error = min(0.5, (0.5 * (1 - tps / n) + 0.5 * fps / m).min())
    fpr, tpr, _ = roc_curve(1 - labels, -scores, drop_intermediate=False)
    precision_in, recall_in, _ = precision_recall_curve(labels, scores)
    precision_out, recall_out, _ = precision_recall_curve(1 - labels, -scores)
    aurc = np.mean([1 - correct[inside >= s].mean() for s in inside])
    figures = [mannwhitneyu(inside, outside).statistic / (n * m), (outside >= limit).mean(), average_precision_score(labels, scores),
               average_precision_score(1 - labels, -scores), error, liu(inside, outside[:max(1, n // 5)]), fpr[np.argmax(tpr >= 0.95)],
               auc(recall_in, precision_in), auc(recall_out, precision_out), aurc]
    print(seed, n, m, levels, shift, " ".join(repr(float(v)) for v in figures))
