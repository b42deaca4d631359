#!/usr/bin/python3
"""Writes loss.txt, optimiser.txt and schedule.txt: inputs and what PyTorch 1.13 makes of them (losses by autograd in float64, torch.optim.SGD,
clip_grad_norm_, AveragedModel and lr_scheduler). Run: cd tests/data/train && /usr/bin/python3 make.py

A record is: a word, its number of values, the values. Float32 values are printed so that float32 reads them back.
"""
import warnings
import numpy as np
import torch
import torch.nn.functional as F

warnings.simplefilter("ignore")
random = np.random.default_rng(20261125)
torch.set_num_threads(1)


def put(file, word, values):
    values = np.atleast_1d(np.asarray(values)).ravel()
    text = str if values.dtype == np.float32 else lambda v: format(v, ".9g") if word.startswith("by_") else repr(float(v))
    print(word, len(values), " ".join(text(v) for v in values), file=file)


# ---- losses: METHOD section 6 ----
NAMES = ("cross_entropy_weight energy_weight cluster_weight representation_weight temperature energy_in energy_out focus scale representation_in "
         "representation_out energy_space energy_form representation_form uniform_weight score_weight score_form score_in score_out beta energy_mean "
         "energy_std representation_mean representation_std").split()
DEFAULTS = dict(zip(NAMES, [1, 0, 0, 0, 1, -23, -5, 2, 16, 0.05, 0.7, 0, 0, 0, 0, 0, 1, 1, -1, 0.5, 0, 1, 0, 1]))


def mean(values):
    return values.mean() if len(values) else torch.zeros((), dtype=torch.float64)


def margins(form, u, low, high, inside):
    if form == 0:
        return mean(F.relu(u[inside] - low) ** 2) + mean(F.relu(high - u[~inside]) ** 2)
    t = (u - (low + high) / 2) / ((high - low) / 2)
    return mean(F.softplus(t[inside])) + mean(F.softplus(-t[~inside]))


def losses(o, f, h, v, y):
    inside = y >= 0
    c, z = F.normalize(v, dim=1), F.normalize(h, dim=1)
    cosine = z @ c.T
    nearest = (1 - cosine).min(dim=1).values
    own = torch.where(inside, 1 - cosine.gather(1, y.clamp(min=0)[:, None])[:, 0], nearest)
    space = o["scale"] * cosine if o["energy_space"] else f
    energy = -o["temperature"] * torch.logsumexp(space / o["temperature"], dim=1)
    log_q = F.log_softmax(o["scale"] * cosine, dim=1)[inside, y[inside]]
    score = -((1 - o["beta"]) * (energy - o["energy_mean"]) / o["energy_std"]
              + o["beta"] * (nearest - o["representation_mean"]) / o["representation_std"])
    terms = [
        F.cross_entropy(f[inside], y[inside]) if inside.any() else torch.zeros((), dtype=torch.float64),
        margins(o["energy_form"], energy, o["energy_in"], o["energy_out"], inside),
        mean(-(1 - log_q.exp()) ** o["focus"] * log_q),
        margins(o["representation_form"], own, o["representation_in"], o["representation_out"], inside),
        mean(-F.log_softmax(f[~inside], dim=1).mean(dim=1)),
        margins(o["score_form"], -score, -o["score_in"], -o["score_out"], inside),
    ]
    weights = [o[w + "_weight"] for w in ("cross_entropy", "energy", "cluster", "representation", "uniform", "score")]
    total = sum(w * t for w, t in zip(weights, terms) if w > 0)
    correct = (f.argmax(dim=1) == y).sum()
    means = [mean(energy[inside]), mean(energy[~inside]), mean(own[inside]), mean(nearest[inside]), mean(nearest[~inside])]
    return total, terms, means, correct, (cosine.argmax(dim=1) == y).sum(), energy, own, nearest


def loss_case(file, preset, classes, dimension, inside, outside, logit_scale, **changes):
    o = dict(DEFAULTS, **changes)
    n = inside + outside
    y = torch.from_numpy(random.permutation(np.r_[random.integers(0, classes, inside), -np.ones(outside, int)]))
    v = random.standard_normal((classes, dimension))
    h = np.abs(random.standard_normal((n, dimension)) + 1.5 * v[y.clamp(min=0)] * (y >= 0).numpy()[:, None])
    f = random.standard_normal((n, classes)) * logit_scale
    f[np.arange(n), y.clamp(min=0)] += np.where(y >= 0, 3 * logit_scale, 0)
    arrays = [a.astype(np.float32) for a in (f, h, v)]
    f, h, v = (torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays)
    total, terms, means, correct, nearest, energy, own, representation = losses(o, f, h, v, y)
    total.backward()
    put(file, "case", [["none", "ce", "energy", "sde"].index(preset), classes, dimension, n])
    put(file, "options", [o[name] for name in NAMES])
    for word, a in zip(("logits", "features", "prototypes"), arrays):
        put(file, word, a)
    put(file, "labels", y.numpy())
    put(file, "total", total.item())
    put(file, "terms", [t.item() for t in terms])
    put(file, "means", [m.item() for m in means])
    put(file, "correct", [correct.item(), nearest.item()])
    put(file, "measured", torch.stack([energy, own, representation]).detach().numpy())
    for word, x in zip(("by_logits", "by_features", "by_prototypes"), (f, h, v)):
        put(file, word, np.zeros(x.shape) if x.grad is None else x.grad.numpy())


def all_losses():
    sde = dict(energy_weight=0.1, cluster_weight=0.5, representation_weight=1)
    score = dict(score_weight=0.3, energy_mean=-12.0, energy_std=5.0, representation_mean=0.3, representation_std=0.2)
    with open("loss.txt", "w") as file:
        loss_case(file, "ce", 10, 16, 4, 0, 3)
        loss_case(file, "energy", 10, 16, 4, 8, 3, energy_weight=0.1)
        loss_case(file, "sde", 10, 16, 4, 8, 3, **sde)
        loss_case(file, "sde", 100, 4, 3, 3, 4, energy_in=-27, **sde)
        loss_case(file, "sde", 2, 5, 0, 4, 1, **sde)
        loss_case(file, "sde", 10, 16, 3, 5, 3000, **sde)
        loss_case(file, "none", 10, 16, 4, 8, 3, **sde, uniform_weight=0.5, **score)
        loss_case(file, "none", 10, 16, 4, 8, 3, **sde, energy_form=1, representation_form=1, **dict(score, score_form=0, score_in=0.25, score_out=-2))
        loss_case(file, "none", 10, 16, 4, 8, 3, **dict(sde, cluster_weight=1, focus=0), energy_space=1, energy_in=-15, energy_out=-7,
                  **dict(score, beta=0.8))
        loss_case(file, "none", 10, 16, 4, 8, 1, **dict(sde, cluster_weight=1, focus=0.5), temperature=3, energy_in=-8, energy_out=-7)
        loss_case(file, "none", 1, 1, 2, 1, 1, **sde, energy_form=1, representation_form=1)


# ---- the optimiser: five steps ----
def optimiser_case(file, rate, momentum, decay, clip, average, factor, size=2.0):
    """Blocks: 20 with decay, 7 without, 3 with `factor` times the rate and decay; 2 values that are only averaged."""
    counts = [20, 7, 3]
    blocks = [torch.nn.Parameter(torch.from_numpy(random.standard_normal(n).astype(np.float32))) for n in counts]
    kept = torch.from_numpy(random.standard_normal(2).astype(np.float32))
    module = torch.nn.Module()
    for i, block in enumerate(blocks):
        module.register_parameter(f"p{i}", block)
    module.register_buffer("kept", kept)
    averaged = torch.optim.swa_utils.AveragedModel(
        module, avg_fn=lambda a, value, t: a + (1 - min(average, (1 + float(t)) / (10 + float(t)))) * (value - a), use_buffers=True)
    averaged.update_parameters(module)          # a copy of the first values; the next one is t = 1
    sgd = torch.optim.SGD([dict(params=[blocks[0]], weight_decay=decay), dict(params=[blocks[1]], weight_decay=0),
                           dict(params=[blocks[2]], weight_decay=decay, lr=rate * factor)], lr=rate, momentum=momentum, nesterov=momentum > 0)
    put(file, "case", [rate, momentum, decay, clip, average, factor])
    put(file, "start", np.concatenate([b.detach().numpy().copy() for b in blocks] + [kept.numpy().copy()]))
    for step in range(5):
        gradients = [random.standard_normal(n).astype(np.float32) * np.float32(size / 20 if step == 3 else size) for n in counts]
        for block, g in zip(blocks, gradients):
            block.grad = torch.from_numpy(g.copy())
        put(file, "gradient", np.concatenate(gradients))
        norm = torch.nn.utils.clip_grad_norm_(blocks, clip if clip > 0 else 1e30)
        sgd.step()
        kept += 0.25
        averaged.update_parameters(module)
        put(file, "norm", norm.item())
        put(file, "value", np.concatenate([b.detach().numpy() for b in blocks] + [kept.numpy()]))
        put(file, "average", np.concatenate([getattr(averaged.module, f"p{i}").detach().numpy() for i in range(3)] + [averaged.module.kept.numpy()]))
    put(file, "momentum", np.concatenate([sgd.state[b]["momentum_buffer"].numpy() if momentum > 0 else np.zeros(n, np.float32)
                                          for b, n in zip(blocks, counts)]))


def all_optimisers():
    with open("optimiser.txt", "w") as file:
        optimiser_case(file, 0.1, 0.9, 0, 0, 0, 1)
        optimiser_case(file, 0.1, 0.9, 5e-4, 0, 0, 1)
        optimiser_case(file, 0.05, 0.9, 0.1, 3.0, 0, 1)
        optimiser_case(file, 0.05, 0.5, 0.01, 1e-3, 0.999, 10)
        optimiser_case(file, 0.1, 0.9, 5e-4, 0, 0.15, 0.5)
        optimiser_case(file, 0.1, 0, 5e-4, 0, 0, 1)
        optimiser_case(file, 3e4, 0.9, 0, 1e-6, 0, 1, 1e-6)        # norms of the size of the 1e-6 in clip_grad_norm_


# ---- schedules: the rate of each step ----
def schedule_case(file, kind, peak, steps, warmup, start, span, make):
    """kind: 0 cosine, 1 one-cycle, 2 constant. Step t has progress t/span."""
    block = torch.nn.Parameter(torch.zeros(1))
    sgd = torch.optim.SGD([block], lr=peak, momentum=0.9)
    scheduler = make(sgd)
    rates = []
    for _ in range(steps):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step() if len(rates) < steps else None
    put(file, "case", [kind, peak, warmup, start, span])
    put(file, "rates", rates)


def all_schedules():
    s = torch.optim.lr_scheduler
    with open("schedule.txt", "w") as file:
        # energy fine-tuning's (Liu et al. 2020): a cosine over all steps
        schedule_case(file, 0, 0.001, 50, 0, 0, 50, lambda o: s.LambdaLR(o, lambda t: 0.5 * (1 + np.cos(t / 50 * np.pi))))
        schedule_case(file, 0, 0.1, 60, 12 / 60, 0.01, 60, lambda o: s.SequentialLR(
            o, [s.LinearLR(o, start_factor=0.01, total_iters=12), s.CosineAnnealingLR(o, T_max=48)], milestones=[12]))
        schedule_case(file, 2, 0.1, 30, 10 / 30, 0.2, 30, lambda o: s.LinearLR(o, start_factor=0.2, total_iters=10))
        # OneCycleLR counts from 0 to the last step and puts the peak at step 0.3 n - 1
        schedule_case(file, 1, 0.4, 50, 14 / 49, 0, 49, lambda o: s.OneCycleLR(o, max_lr=0.4, total_steps=50))


all_losses()
all_optimisers()
all_schedules()
