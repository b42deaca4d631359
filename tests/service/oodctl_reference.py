#!/usr/bin/env python3
"""METHOD sections 2 to 4 once more, in plain Python, on the material's tiny network: what `fit` wrote and `score` printed is held
against it. The bundle was fitted on all 60 pictures and calibrated on the same ones in another order, so no split is guessed.

    oodctl_reference.py MATERIAL BUNDLE SCORES.json       SCORES: the 60 pictures and 6 outliers in the material's order"""
import json, math, struct, sys

material, bundle, scores = sys.argv[1:]
ref = json.load(open(material + "/reference.json"))
taps, last, K, D, SIDE = ref["taps"], ref["last"], 3, 8, 8
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def network(pixels):
    """Logits and features of one picture, in double."""
    x = [[[(pixels[(i * SIDE + j) * 3 + c] / 255 - MEAN[c]) / STD[c] for j in range(SIDE)] for i in range(SIDE)] for c in range(3)]
    features = []
    for o in range(D):
        total = 0.0
        for i in range(SIDE):
            for j in range(SIDE):
                v = 0.1
                for c in range(3):
                    for k in range(9):
                        y, z = i + k // 3 - 1, j + k % 3 - 1
                        if 0 <= y < SIDE and 0 <= z < SIDE:
                            v += taps[(o * 3 + c) * 9 + k] * x[c][y][z]
                total += max(v, 0.0)
        features.append(total / (SIDE * SIDE))
    return [sum(last[k * D + d] * features[d] for d in range(D)) for k in range(K)], features


def unit(v):
    norm = math.sqrt(sum(a * a for a in v))
    return [a / norm for a in v]


def close(name, found, expected, absolute=1e-4, relative=1e-4):
    if not abs(found - expected) <= absolute + relative * abs(expected):
        sys.exit("%s: %r, expected %r" % (name, found, expected))


def mean_std(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


outputs = [network(p) for p in ref["pixels"]]
classes = [i // 20 for i in range(60)]
prototypes = []
for k in range(K):
    z = [unit(f) for (_, f), c in zip(outputs, classes) if c == k]
    prototypes.append(unit([sum(v[d] for v in z) / len(z) for d in range(D)]))
energy = [-max(l) - math.log(sum(math.exp(v - max(l)) for v in l)) for l, _ in outputs]
distance = [min(1 - sum(a * b for a, b in zip(unit(f), c)) for c in prototypes) for _, f in outputs]
(mu_e, sigma_e), (mu_d, sigma_d) = mean_std(energy[:60]), mean_std(distance[:60])
fused = [-(0.5 * (e - mu_e) / sigma_e + 0.5 * (d - mu_d) / sigma_d) for e, d in zip(energy, distance)]
calibration = sorted(fused[:60])

model = json.load(open(bundle + "/model.json"))
for name, expected in (("energy_mean", mu_e), ("energy_std", sigma_e), ("representation_mean", mu_d), ("representation_std", sigma_d), ("beta", 0.5)):
    close(name, model["score"][name], expected)
close("threshold", model["decision"]["threshold"], calibration[int(0.05 * 61) - 1], 1e-3, 1e-3)
close("review_threshold", model["decision"]["review_threshold"], calibration[int(0.2 * 61 + 1e-9) - 1], 1e-3, 1e-3)

data = open(bundle + "/prototypes.safetensors", "rb").read()
size = struct.unpack("<Q", data[:8])[0]
head = json.loads(data[8:8 + size])
begin, end = head["prototypes"]["data_offsets"]
found = struct.unpack("<%df" % (K * D), data[8 + size + begin:8 + size + end])
for i, value in enumerate(found):
    close("prototype %d" % i, value, prototypes[i // D][i % D], 1e-5)
begin, end = head["calibration_scores"]["data_offsets"]
for i, value in enumerate(struct.unpack("<60d", data[8 + size + begin:8 + size + end])):
    close("calibration score %d" % i, value, calibration[i], 1e-3, 1e-3)

lines = [json.loads(line) for line in open(scores)]
assert len(lines) == 66
for i, line in enumerate(lines):
    close("energy %d" % i, line["energy"], energy[i])
    close("representation score %d" % i, line["representation_score"], distance[i])
    close("score %d" % i, line["score"], fused[i], 1e-3, 1e-3)
    p = (1 + sum(s <= line["score"] for s in struct.unpack("<60d", data[8 + size + begin:8 + size + end]))) / 61
    close("p %d" % i, line["p_value"], p, 1e-12, 0)
    assert line["decision"] == ("out" if p <= 0.05 else "review" if p <= 0.2 else "in"), line
    assert line["class"]["index"] == max(range(K), key=lambda k: outputs[i][0][k]), line
