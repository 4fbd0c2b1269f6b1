//! How the page looks, on light and dark screens, broad and narrow ones, and on paper.

/// The style sheet. It has no `<` and no `&`, so that it is the same in HTML and in XML.
pub const STYLE: &str = "
:root {
  --ground: #f6f7f9; --card: #ffffff; --line: #e3e6eb; --text: #1b1f27; --dim: #626b7a; --track: #eceff3;
  --leaf: #2f9e6e; --branch: #e0a100; --overflow: #3b7dd8; --own: #8a63d2; --head: #12a5b8; --parked: #8fa3bf;
  --dead: #cdd3dc;
  --good: #2f9e6e; --notice: #b27b00; --warning: #c93a3a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12151b; --card: #1a1f28; --line: #2b323e; --text: #e6e9ef; --dim: #98a2b3; --track: #262d38;
    --leaf: #3fb984; --branch: #e8b339; --overflow: #5b9cf0; --own: #a586e8; --head: #35c3d4; --parked: #6f86a6;
    --dead: #3b4453;
    --good: #3fb984; --notice: #e8b339; --warning: #f07070;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 28px 16px 48px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 14px; }
header p { margin: 0; overflow-wrap: anywhere; }
.dim { color: var(--dim); font-size: 13px; }
section, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 18px; margin-top: 16px; }
section p { margin: 12px 0 0; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin-top: 20px; }
.tile { flex: 1 0 auto; padding: 12px 14px; display: flex; flex-direction: column; min-width: 150px; }
.tile .label { color: var(--dim); font-size: 13px; }
.tile .value { font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; }
.findings { list-style: none; margin: 0; padding: 0; display: grid; gap: 10px; }
.findings li { display: flex; gap: 12px; border-left: 4px solid; padding: 2px 0 2px 12px; }
.findings b { flex: 0 0 72px; }
.findings span { min-width: 0; overflow-wrap: anywhere; }
.findings .good { border-color: var(--good); } .good b { color: var(--good); }
.findings .notice { border-color: var(--notice); } .notice b { color: var(--notice); }
.findings .warning { border-color: var(--warning); } .warning b { color: var(--warning); }
.shares { display: flex; height: 22px; border-radius: 6px; overflow: hidden; background: var(--track); gap: 1px; }
.shares span { min-width: 2px; flex-basis: 0; }
.legend {
  list-style: none; padding: 0; margin: 12px 0 18px;
  display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 4px 20px;
}
.legend li { display: flex; align-items: baseline; gap: 7px; white-space: nowrap; }
.legend .count { margin-left: auto; font-variant-numeric: tabular-nums; }
.legend .dim { min-width: 112px; text-align: right; font-variant-numeric: tabular-nums; }
.key { width: 10px; height: 10px; border-radius: 3px; flex: none; }
span.leaf { background: var(--leaf); } path.leaf { fill: var(--leaf); }
span.branch { background: var(--branch); } path.branch { fill: var(--branch); }
span.overflow { background: var(--overflow); } path.overflow { fill: var(--overflow); }
span.own { background: var(--own); } path.own { fill: var(--own); }
span.head { background: var(--head); } path.head { fill: var(--head); }
span.parked { background: var(--parked); } path.parked { fill: var(--parked); }
span.dead { background: var(--dead); } path.dead { fill: var(--dead); }
span.unknown { background: var(--warning); } path.unknown { fill: var(--warning); }
.tile span.overflow { background: none; }
svg { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 500; font-size: 13px; color: var(--dim); }
th, td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
th:last-child, td:last-child { padding-right: 0; }
tbody tr:last-child td { border-bottom: 0; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.name { overflow-wrap: anywhere; min-width: 110px; max-width: 360px; }
.share { width: 30%; min-width: 130px; white-space: nowrap; }
.share > span:last-child { display: inline-block; width: 60px; text-align: right; font-variant-numeric: tabular-nums; }
.bar {
  display: inline-block; vertical-align: middle; width: calc(100% - 62px); height: 8px; border-radius: 4px;
  background: var(--track); overflow: hidden;
}
.bar span { display: block; height: 100%; border-radius: 4px; }
details { margin-top: 12px; }
summary { cursor: pointer; color: var(--dim); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 24px; }
figure { margin: 0; min-width: 0; }
figcaption { margin-bottom: 8px; }
.histogram text { font-size: 12px; fill: var(--dim); }
.histogram .most { fill: var(--text); }
.histogram .hit { fill: transparent; }
.histogram .column { fill: var(--overflow); }
.histogram g:hover .column { fill: var(--branch); }
.axis { stroke: var(--line); }
dl { margin: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 0 28px; }
dl div { display: flex; gap: 12px; padding: 5px 0; border-bottom: 1px solid var(--line); min-width: 0; }
dt { color: var(--dim); flex: 0 0 46%; }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
@media (max-width: 640px) {
  main { padding: 18px 10px 32px; } section { padding: 14px; }
  .findings li { flex-direction: column; gap: 0; } .findings b { flex: none; }
  .tiles { gap: 8px; } .tile { min-width: calc(50% - 4px); }
  th, td { padding-right: 10px; } .wide { display: none; } .name { min-width: 84px; } .share { min-width: 104px; }
  dl, .legend { grid-template-columns: 1fr; }
}
@media print { body { background: none; } section { break-inside: avoid; } }
";
