#!/usr/bin/python3
"""Writes networks/*.onnx, small networks with seeded weights, and networks.txt: what PyTorch 1.13 makes of them in training mode, in float64:
gradients by autograd of sum(logits * L) + sum(features * F) (which torch.autograd.gradcheck has compared with central differences), and three steps of
torch.optim.SGD on METHOD's loss. Needs python3-torch and python3-onnx. Run: cd tests/data/train && /usr/bin/python3 networks.py

Inputs, L and F are a sequence that the test makes as well (see `sequence`). A tensor is recorded as its sum, its L2 norm and its product with
the sequence.
"""
import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

from make import DEFAULTS, losses

torch.set_num_threads(1)
CLASSES = 5


MARGIN = [np.inf]                            # how near a ReLU, a clip or a maximum came to deciding otherwise


def near(*distances):
    MARGIN[0] = min(MARGIN[0], *(float(d.detach().abs().min()) for d in distances))


def sequence(count, seed):
    return (np.arange(count, dtype=np.int64) * 7919 + seed * 104729) % 2003 / 1001.5 - 1


# ---- networks ----
class Network:
    def __init__(self, name, channels, size, opset=13):
        self.name, self.opset, self.size = name, opset, (channels, size, size)
        self.nodes, self.initialisers, self.random = [], [], np.random.default_rng(len(name) * 1000 + sum(map(ord, name)))

    def tensor(self, name, values):
        self.initialisers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weights(self, name, *shape):
        fan = np.prod(shape[1:]) if len(shape) > 1 else 1
        return self.tensor(name, (self.random.standard_normal(shape) * np.sqrt(2 / fan)).astype(np.float32))

    def node(self, op, *inputs, **attributes):
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def conv(self, x, inputs, outputs, kernel=3, bias=False, group=1, **attributes):
        name = f"conv{len(self.nodes)}"
        tensors = [self.weights(name + ".weight", outputs, inputs // group, kernel, kernel)]
        if bias:
            tensors.append(self.weights(name + ".bias", outputs))
        attributes.setdefault("pads", [kernel // 2] * 4)
        return self.node("Conv", x, *tensors, kernel_shape=[kernel] * 2, group=group, **attributes)

    def norm(self, x, channels):
        name, r = f"norm{len(self.nodes)}", self.random
        return self.node("BatchNormalization", x, self.tensor(name + ".scale", r.uniform(0.5, 1.5, channels).astype(np.float32)),
                         self.tensor(name + ".shift", r.uniform(-0.3, 0.3, channels).astype(np.float32)),
                         self.tensor(name + ".mean", r.uniform(-0.1, 0.1, channels).astype(np.float32)),
                         self.tensor(name + ".variance", r.uniform(0.5, 1.5, channels).astype(np.float32)), epsilon=1e-5)

    def finish(self, x, channels):
        if channels is not None:
            x = self.node("GlobalAveragePool", x)
        else:                                # the whole map
            channels = 5 * 3 * 3
        x = self.node("Flatten", x)
        y = self.node("Gemm", x, self.weights("fc.weight", CLASSES, channels), self.weights("fc.bias", CLASSES), transB=1)
        graph = helper.make_graph(self.nodes, self.name, [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", *self.size])],
                                  [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["n", CLASSES])], self.initialisers)
        self.model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        onnx.checker.check_model(self.model)
        return self


def wide():
    """Pre-activation blocks: batch norm + ReLU, convolution + sum, a 1x1 shortcut of stride 2."""
    n = Network("wide", 3, 12)
    x = n.conv("input", 3, 16)
    y = n.conv(n.node("Relu", n.norm(x, 16)), 16, 16)
    x = n.node("Add", n.conv(n.node("Relu", n.norm(y, 16)), 16, 16), x)
    a = n.node("Relu", n.norm(x, 16))
    y = n.conv(a, 16, 32, strides=[2, 2])
    x = n.node("Add", n.conv(n.node("Relu", n.norm(y, 32)), 32, 32), n.conv(a, 16, 32, 1, strides=[2, 2]))
    return n.finish(n.node("Relu", n.norm(x, 32)), 32)


def residual():
    """Post-activation blocks: batch norm + sum + ReLU, a pool before, a bias."""
    n = Network("residual", 3, 14)
    x = n.node("MaxPool", n.node("Relu", n.norm(n.conv("input", 3, 16, bias=True), 16)), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    y = n.norm(n.conv(n.node("Relu", n.norm(n.conv(x, 16, 16), 16)), 16, 16), 16)
    x = n.node("Relu", n.node("Add", y, x))
    y = n.norm(n.conv(n.node("Relu", n.norm(n.conv(x, 16, 24, strides=[2, 2]), 24)), 24, 24), 24)
    x = n.node("Relu", n.node("Add", n.norm(n.conv(x, 16, 24, 1, strides=[2, 2]), 24), y))
    return n.finish(x, 24)


def plain(name, build, size=7, opset=13):
    """A convolution, what is to be tried, a linear layer. build gives the value and its channels; None for channels: it made the end itself."""
    n = Network(name, 2, size, opset)
    x, channels = build(n, n.conv("input", 2, 4, 1, bias=True))
    return n.finish(x, channels)


def clip(n, x):
    return n.node("Clip", n.norm(x, 4), n.tensor("low", np.float32(-0.4)), n.tensor("high", np.float32(0.6))), 4


def shared_statistics():
    """Two batch norms that read the same running mean: refused."""
    n = Network("refused_statistics", 2, 7)
    x = n.norm(n.norm(n.conv("input", 2, 4, 1), 4), 4)
    n.nodes[-1].input[3] = n.nodes[-2].input[3]
    return n.finish(x, 4)


def shortcut(n, x):
    """The residual network's first form: every second pixel, channels of zeros around."""
    t = n.tensor
    y = n.node("Slice", x, t("starts", np.array([0, 1], np.int64)), t("ends", np.array([9, 7], np.int64)), t("axes", np.array([2, 3], np.int64)),
               t("steps", np.array([2, 2], np.int64)))
    return n.node("Pad", y, t("pads", np.array([0, 1, 0, 0, 0, 2, 0, 0], np.int64))), 7


def gate(n, x):
    """Squeeze and excitation."""
    y = n.conv(n.node("Relu", n.conv(n.node("GlobalAveragePool", x), 4, 3, 1, bias=True)), 3, 4, 1)
    return n.node("Mul", x, n.node("Sigmoid", y)), 4


def matmul(n, x):
    y = n.node("Flatten", n.node("GlobalAveragePool", x))
    y = n.node("Relu", n.node("Add", n.node("MatMul", y, n.weights("hidden", 4, 9)), n.weights("hidden.bias", 9)))
    return n.node("Reshape", y, n.tensor("shape", np.array([0, 9, 1, 1], np.int64))), 9


BLOCKS = ("wide", "residual")                # trained for three steps, with every kind of statistics
CASES = [
    wide, residual,
    lambda: plain("relu", lambda n, x: (n.node("Relu", x), 4)),
    lambda: plain("leaky_relu", lambda n, x: (n.node("LeakyRelu", x, alpha=0.2), 4)),
    lambda: plain("sigmoid", lambda n, x: (n.node("Sigmoid", x), 4)),
    lambda: plain("clip", clip),
    lambda: plain("add_twice", lambda n, x: (n.node("Add", x, n.node("Relu", x)), 4)),
    lambda: plain("add_self", lambda n, x: (n.node("Add", x, x), 4)),
    lambda: plain("conv_reads_sum", lambda n, x: (n.node("Add", n.conv(x, 4, 4), x), 4)),
    lambda: plain("depthwise", lambda n, x: (n.conv(x, 4, 4, group=4, bias=True), 4)),
    lambda: plain("grouped_strided", lambda n, x: (n.conv(x, 4, 8, group=2, strides=[2, 2]), 8)),
    lambda: plain("dilated", lambda n, x: (n.conv(x, 4, 6, dilations=[2, 2], pads=[2, 2, 2, 2]), 6)),
    lambda: plain("winograd_wide", lambda n, x: (n.conv(n.conv(x, 4, 20, 1), 20, 37, bias=True, pads=[0, 1, 2, 1]), 37)),
    lambda: plain("average_pool", lambda n, x: (n.node("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), 4)),
    lambda: plain("average_pool_padded", lambda n, x: (n.node("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1), 4)),
    lambda: plain("max_pool", lambda n, x: (n.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 4)),
    lambda: plain("norm", lambda n, x: (n.norm(x, 4), 4)),
    lambda: plain("concat", lambda n, x: (n.node("Concat", x, n.node("Relu", x), n.conv(x, 4, 3), axis=1), 11)),
    lambda: plain("shortcut", shortcut),
    lambda: plain("crop", lambda n, x: (n.node("Pad", x, n.tensor("pads", np.array([0, 0, -1, 0, 0, 0, 2, -2], np.int64))), 4)),
    lambda: plain("transpose", lambda n, x: (n.node("Transpose", n.node("Relu", n.node("Transpose", x, perm=[0, 2, 3, 1])), perm=[0, 3, 1, 2]), 4)),
    lambda: plain("gate", gate),
    lambda: plain("silu", lambda n, x: (n.node("Mul", x, n.node("Sigmoid", x)), 4)),
    lambda: plain("arithmetic", lambda n, x: (n.node("Div", n.node("Sub", x, n.node("GlobalAveragePool", x)), n.node("Sigmoid", n.conv(x, 4, 4, 1))), 4)),
    lambda: plain("bias", lambda n, x: (n.node("Add", n.conv(x, 4, 4), n.tensor("own.bias", n.random.standard_normal((4, 1, 1)).astype(np.float32))), 4)),
    lambda: plain("hard", lambda n, x: (n.node("Mul", n.node("HardSwish", x), n.node("HardSigmoid", x, alpha=1 / 6)), 4), opset=14),
    lambda: plain("flatten", lambda n, x: (n.conv(x, 4, 5, strides=[3, 3]), None)),
    lambda: plain("matmul", matmul),
    lambda: plain("reduce_mean", lambda n, x: (n.node("ReduceMean", n.conv(x, 4, 4), axes=[2, 3], keepdims=1), 4)),
]


# ---- the same by torch ----
def norm(x, mean, variance, scale, shift, epsilon, statistics):
    """statistics: "joint", "in" (of the first IN pictures, for all) or "frozen". Moves mean and variance as PyTorch does."""
    if statistics != "in":
        return F.batch_norm(x, mean, variance, scale, shift, training=statistics == "joint", momentum=0.1, eps=epsilon)
    inside = x[:IN].transpose(0, 1).flatten(1)
    m, v = inside.mean(1), inside.var(1, unbiased=False)
    mean.mul_(0.9).add_(0.1 * m.detach())
    variance.mul_(0.9).add_(0.1 * inside.var(1, unbiased=True).detach())
    at = (slice(None), None, None)
    return (x - m[at]) / torch.sqrt(v[at] + epsilon) * scale[at] + shift[at]


def pad_all(x, pads):
    return F.pad(x, [p for k in reversed(range(4)) for p in (pads[k], pads[k + 4])])


def run(model, x, values, statistics="joint"):
    values = dict(values, input=x)
    for node in model.graph.node:
        a = {k.name: helper.get_attribute_value(k) for k in node.attribute}
        i = [values[name] for name in node.input]
        op, pads = node.op_type, a.get("pads", [0, 0, 0, 0])
        if op == "Conv":
            padded = F.pad(i[0], (pads[1], pads[3], pads[0], pads[2]))
            y = F.conv2d(padded, i[1], i[2] if len(i) > 2 else None, a.get("strides", 1), 0, a.get("dilations", 1), a["group"])
        elif op == "BatchNormalization":
            y = norm(i[0], i[3], i[4], i[1], i[2], a["epsilon"], statistics)
        elif op == "Clip":
            near(i[0] - i[1], i[0] - i[2])
            y = torch.clamp(i[0], float(i[1]), float(i[2]))
        elif op == "Gemm":
            y, features = F.linear(i[0], i[1], i[2]), i[0]
        elif op == "AveragePool":
            y = F.avg_pool2d(i[0], a["kernel_shape"], a.get("strides", 1), pads[:2], count_include_pad=bool(a.get("count_include_pad", 0)))
        elif op == "MaxPool":
            values_of_window = F.unfold(F.pad(i[0], (pads[1], pads[3], pads[0], pads[2]), value=-1e9).flatten(0, 1)[:, None], a["kernel_shape"], stride=a.get("strides", 1))
            two = values_of_window.topk(2, dim=1).values
            near((two[:, 0] - two[:, 1])[two[:, 0] != two[:, 1]])
            y = F.max_pool2d(i[0], a["kernel_shape"], a.get("strides", 1), pads[:2])
        else:
            if op in ("Relu", "LeakyRelu"):
                near(i[0][i[0] != 0])
            y = {"Relu": lambda: F.relu(i[0]), "LeakyRelu": lambda: F.leaky_relu(i[0], a.get("alpha")), "Sigmoid": lambda: torch.sigmoid(i[0]),
                 "Add": lambda: i[0] + i[1], "GlobalAveragePool": lambda: i[0].mean((2, 3), keepdim=True), "Flatten": lambda: i[0].flatten(1),
                 "Concat": lambda: torch.cat(i, a.get("axis")), "Transpose": lambda: i[0].permute(a.get("perm")), "MatMul": lambda: i[0] @ i[1],
                 "Mul": lambda: i[0] * i[1], "Sub": lambda: i[0] - i[1], "Div": lambda: i[0] / i[1], "HardSwish": lambda: F.hardswish(i[0]),
                 "HardSigmoid": lambda: torch.clamp(i[0] * a.get("alpha") + a.get("beta", 0.5), 0, 1), "Pad": lambda: pad_all(i[0], i[1].int().tolist()),
                 "Slice": lambda: i[0][:, :, int(i[1][0]):int(i[2][0]):int(i[4][0]), int(i[1][1]):int(i[2][1]):int(i[4][1])],
                 "Reshape": lambda: i[0].reshape([i[0].shape[0], *i[1].int().tolist()[1:]]),
                 "ReduceMean": lambda: i[0].mean(a.get("axes"), keepdim=bool(a.get("keepdims", 1)))}[op]()
        values[node.output[0]] = y
    return y, features


def split(model):
    """Parameters and running statistics, in float64."""
    statistics = {name for node in model.graph.node if node.op_type == "BatchNormalization" for name in node.input[3:5]}
    fixed = {name for node in model.graph.node if node.op_type in ("Clip", "Slice", "Pad", "Reshape") for name in node.input[1:]}
    tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()).double() for t in model.graph.initializer}
    parameters = {k: t.requires_grad_() for k, t in tensors.items() if k not in statistics | fixed}
    return parameters, {k: t for k, t in tensors.items() if k in statistics | fixed}


def put(file, word, name, tensor):
    flat = tensor.detach().numpy().ravel().astype(np.float64)
    print(word, name, *(repr(float(v)) for v in (flat.sum(), np.sqrt((flat ** 2).sum()), (flat * sequence(flat.size, 9)).sum())), file=file)


IN, OUT = 8, 4


def inputs(model, seed):
    sizes = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim][1:]
    count = (IN + OUT) * int(np.prod(sizes))
    return torch.from_numpy(sequence(count, seed).astype(np.float32).astype(np.float64).reshape(IN + OUT, *sizes))


def gradients(file, network, seed, mode="joint"):
    parameters, statistics = split(network.model)
    x = inputs(network.model, seed)
    logits, features = run(network.model, x, {**parameters, **statistics}, mode)
    target = lambda t, seed: torch.from_numpy(sequence(t.numel(), seed).astype(np.float32).astype(np.float64).reshape(t.shape))
    ((logits * target(logits, 2)).sum() + (features * target(features, 3)).sum()).backward()
    put(file, "value", "logits", logits)
    put(file, "value", "features", features)
    for name, tensor in parameters.items():
        put(file, "gradient", name, tensor.grad)
    for name, tensor in statistics.items():
        if name.startswith("norm"):
            put(file, "value", name, tensor)
    if network.name in BLOCKS:
        return
    names = list(parameters)                 # the reference itself against central differences

    def total(*tensors):
        y, h = run(network.model, x, {**{k: v.clone() for k, v in statistics.items()}, **dict(zip(names, tensors))})
        return (y * target(y, 2)).sum() + (h * target(h, 3)).sum()
    assert torch.autograd.gradcheck(total, tuple(parameters.values()), eps=1e-6, atol=1e-4), network.name


def steps(file, network, seed):
    """Three steps on METHOD's sde loss."""
    parameters, statistics = split(network.model)
    x = inputs(network.model, seed)
    y = torch.tensor([i % CLASSES for i in range(IN)] + [-1] * OUT)
    dimension = run(network.model, x, {**parameters, **{k: t.clone() for k, t in statistics.items()}})[1].shape[1]
    v = torch.from_numpy(sequence(CLASSES * dimension, 4).astype(np.float32).astype(np.float64).reshape(CLASSES, dimension)).requires_grad_()
    options = dict(DEFAULTS, energy_weight=0.1, cluster_weight=0.5, representation_weight=1.0)
    decayed = [t for k, t in parameters.items() if k.endswith(".weight")]
    rest = [t for k, t in parameters.items() if not k.endswith(".weight")]
    sgd = torch.optim.SGD([{"params": decayed, "weight_decay": 5e-4}, {"params": rest + [v]}], lr=0.02, momentum=0.9, nesterov=True)
    for step in range(3):
        sgd.zero_grad()
        logits, features = run(network.model, x, {**parameters, **statistics})
        loss = losses(options, logits, features, v, y)[0]
        loss.backward()
        sgd.step()
        put(file, "step", f"logits{step}", logits)
        print("loss", step, repr(float(loss)), file=file)
    for name, tensor in [*parameters.items(), *statistics.items(), ("prototypes", v)]:
        put(file, "after", name, tensor)


def record(file, network, seed):
    print("network", network.name, seed, file=file)
    gradients(file, network, seed)
    if network.name in BLOCKS:
        steps(file, network, seed)
        for mode in ("in", "frozen"):
            print("statistics", mode, seed, file=file)
            gradients(file, network, seed, mode)


def widest(network):
    """The inputs with which rounding decides nothing: the seed with the widest margin."""
    margins = {}
    for seed in range(10, 40):
        MARGIN[0] = np.inf
        with open("/dev/null", "w") as file:
            record(file, network, seed)
        margins[seed] = MARGIN[0]
    return max(margins, key=margins.get)


if __name__ == "__main__":
    with open("networks.txt", "w") as file:
        for case in CASES:
            network = case()
            onnx.save(network.model, f"networks/{network.name}.onnx")
            record(file, network, widest(network) if network.name in BLOCKS else 10)
        for network in (plain("refused_softmax", lambda n, x: (n.node("Softmax", x, axis=1), 4)), shared_statistics()):
            onnx.save(network.model, f"networks/{network.name}.onnx")
