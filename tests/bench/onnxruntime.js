// ONNX Runtime (npm: onnxruntime-node), one thread: a line as `oodctl bench` prints it.
//   node onnxruntime.js MODULES-FOLDER MODEL.onnx BATCH SECONDS [CxHxW]
const [folder, model, batch, seconds, sizes] = process.argv.slice(2);
const ort = require(folder + '/onnxruntime-node');
(async () => {
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all', logSeverityLevel: 3,
    executionProviders: ['cpu'] });
  const meta = session.inputMetadata && session.inputMetadata[0];
  const shape = meta && meta.shape ? meta.shape.map(Number) : [1, 3, 32, 32];
  shape[0] = Number(batch);
  if (sizes) sizes.split('x').forEach((size, i) => { shape[i + 1] = Number(size); });
  for (let i = 1; i < shape.length; i++) if (!(shape[i] > 0)) shape[i] = i === 1 ? 3 : 32;
  const n = shape.reduce((a, b) => a * b, 1), data = new Float32Array(n);
  for (let i = 0; i < n; i++) data[i] = ((i * 2654435761) % 1000) / 500 - 1;
  const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', data, shape) };
  const times = [];
  await session.run(feeds);                     // warm
  const begin = performance.now();
  while (times.length < 3 || performance.now() - begin < 1000 * Number(seconds)) {
    const before = performance.now();
    await session.run(feeds);
    times.push((performance.now() - before) / 1000);
  }
  times.sort((a, b) => a - b);
  const version = require(folder + '/onnxruntime-node/package.json').version;
  const per = t => (Number(batch) / t).toFixed(2);
  console.log(['onnxruntime ' + version, 'default', 1, batch, per(times[times.length >> 1]), per(times[0])].join('\t'));
})().catch(e => { console.error('onnxruntime.js: ' + e.message); process.exit(4); });
