-- wrk: posts one 32x32 picture, named by the environment's PICTURE.
local file = assert(io.open(os.getenv("PICTURE"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "image/jpeg"
file:close()
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %.6f %.6f %.6f %d\n", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
