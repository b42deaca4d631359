/* The style of `oodctl eval --report`: one sheet, colours in variables, of which the dark scheme has its own. */
#ifndef OODCTL_EVAL_STYLE_H
#define OODCTL_EVAL_STYLE_H

static const char *const eval_style[] = {
    ":root{--page:#f9f9f7;--card:#fcfcfb;--ink:#0b0b0b;--soft:#52514e;--line:#d9d8d2;--in:#2a78d6;--out:#d9571f;--c0:#2a78d6;--c1:#d9571f;--c2:#128a5f;--c3:#7a5bc4}",
    "@media(prefers-color-scheme:dark){:root{--page:#111110;--card:#1a1a19;--ink:#f4f4f2;--soft:#b9b8b1;--line:#3a3a37;--in:#5598e7;--out:#ec835a;--c0:#5598e7;--c1:#ec835a;--c2:#3fc48d;--c3:#a99cf0}}",
    "*{box-sizing:border-box}",
    "body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",\"DejaVu Sans\",sans-serif}",
    "main{max-width:1400px;margin:0 auto;padding:28px 20px 60px}",
    "h1{font-size:26px;line-height:1.25;margin:0}h1 em,h2 em{font-style:normal;color:var(--in)}h2{font-size:19px;margin:40px 0 10px}h3{font-size:15px;margin:14px 0 4px}",
    "p{margin:6px 0 12px;color:var(--soft)}.sub{margin-top:4px}small{color:var(--soft);font-size:11px}",
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin:20px 0}",
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px;display:flex;flex-direction:column}",
    ".tile span{color:var(--soft);font-size:13px}.tile b{font-size:26px;font-weight:600}",
    "details{background:var(--card);border:1px solid var(--line);border-radius:8px;margin:8px 0}summary{padding:10px 14px;cursor:pointer;font-weight:600}",
    ".wide{overflow-x:auto}details .wide{padding:0 14px 12px}",
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}",
    "th,td{padding:5px 8px;border-top:1px solid var(--line);text-align:right;vertical-align:top;white-space:nowrap}thead th{border-top:0;color:var(--soft);font-weight:600}",
    "th:first-child{text-align:left;max-width:260px;overflow:hidden;text-overflow:ellipsis}tbody th{font-weight:400}td small{display:block}",
    "tr.mean th,tr.mean td{font-weight:600}tr.mean small{font-weight:400}td.best{color:var(--in);font-weight:700}td.best small{font-weight:400}details th:first-child{position:sticky;left:0;background:var(--card)}.words td{text-align:left;white-space:normal}",
    "figure{margin:0}figcaption{color:var(--soft);font-size:12px;overflow-wrap:anywhere}",
    ".legend i{display:inline-block;width:12px;height:12px;border-radius:2px;margin:0 5px -1px 12px}.legend i:first-child{margin-left:0}",
    ".legend .in{background:var(--in)}.legend .out{background:var(--out)}.legend .limit{width:0;border-left:2px dashed var(--ink);border-radius:0;margin-right:8px}",
    ".legend .c0{background:var(--c0)}.legend .c1{background:var(--c1)}.legend .c2{background:var(--c2)}.legend .c3{background:var(--c3)}",
    "section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:2px 14px 10px;margin:8px 0}",
    ".row{display:grid;grid-template-columns:repeat(auto-fit,minmax(240px,1fr));gap:18px}.rocs{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:18px}",
    ".rocs figure{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px}svg{display:block;width:100%;height:auto}",
    "svg text{fill:var(--soft);font-size:9px}path.in{fill:var(--in);fill-opacity:.45;stroke:var(--in);stroke-width:1}path.out{fill:var(--out);fill-opacity:.4;stroke:var(--out);stroke-width:1}",
    "path.axis{fill:none;stroke:var(--soft);stroke-width:.7}path.grid{fill:none;stroke:var(--soft);stroke-opacity:.45;stroke-width:.7}path.limit{stroke:var(--ink);stroke-width:1.2;stroke-dasharray:3 2}",
    ".curve{fill:none;stroke-width:1.5;stroke-linejoin:round}.curve.c0{stroke:var(--c0)}.curve.c1{stroke:var(--c1)}.curve.c2{stroke:var(--c2)}.curve.c3{stroke:var(--c3)}",
    ".thumbs{display:grid;grid-template-columns:repeat(auto-fill,minmax(112px,1fr));gap:12px}.thumbs img{width:100%;aspect-ratio:1;object-fit:contain;background:var(--card);border:1px solid var(--line);border-radius:6px;image-rendering:auto}",
    ".thumbs.large{grid-template-columns:repeat(auto-fill,minmax(250px,1fr))}svg.boxes{border:1px solid var(--line);border-radius:6px;background:var(--card);aspect-ratio:4/3}",
    ".boxes rect{fill:none;stroke-width:1.5;vector-effect:non-scaling-stroke}.boxes rect.first{stroke-width:4}.boxes rect.in{stroke:#00c800}.boxes rect.review{stroke:#f0c800}.boxes rect.out{stroke:#e60000}",
    ".key{display:inline-block;width:14px;height:10px;border:3px solid;margin:0 4px -1px 10px}.key.in{border-color:#00c800}.key.review{border-color:#f0c800}.key.out{border-color:#e60000}",
    ".thumbs small{display:block}dt{font-weight:600;margin-top:8px}dd{margin:0;color:var(--soft);overflow-wrap:anywhere}code{font-size:12px}",
};

#endif
