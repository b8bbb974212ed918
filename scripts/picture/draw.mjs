// Draws one dashboard as a picture. It needs Chromium, a Prometheus, and 400 MB of packages that no test needs:
//
//   (cd scripts/picture && npm ci --legacy-peer-deps --ignore-scripts)
//   python tests/dashboards/fleet_history.py --end 1764000000 --hours 30 --step 300 > past.om
//   promtool tsdb create-blocks-from openmetrics past.om data
//   prometheus --storage.tsdb.path=data --storage.tsdb.retention.time=100y --query.lookback-delta=10m \
//     --config.file=/dev/null --web.listen-address=127.0.0.1:9090 &
//   python tests/dashboards/measure_queries.py http://127.0.0.1:9090 --end 1764000000 --scrape 300 --answers answers.json
//   node scripts/picture/draw.mjs answers.json gigas-overview docs/images/overview.png
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const [answersFile, name, picture] = process.argv.slice(2);
const answers = JSON.parse(readFileSync(answersFile, 'utf8'));
const dashboard = JSON.parse(readFileSync(join(here, '../../dashboards', `${name}.json`), 'utf8'));
const work = mkdtempSync(join(tmpdir(), 'picture-'));
try {
  await build({
    entryPoints: [join(here, 'page.jsx')],
    outfile: join(work, 'page.js'),
    bundle: true,
    minify: true,
    platform: 'browser',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
    loader: { '.svg': 'dataurl', '.png': 'dataurl', '.woff2': 'dataurl', '.wasm': 'binary' },
    alias: { 'monaco-editor': join(here, 'empty.cjs'), '@monaco-editor/react': join(here, 'empty.cjs') },
    logLevel: 'error',
  });
  const data = JSON.stringify({ dashboard, ...answers[name] }).replaceAll('<', '\\u003c');
  writeFileSync(
    join(work, 'page.html'),
    `<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="page.css"><body><div id="root"></div>
    <script type="application/json" id="answers">${data}</script><script src="page.js"></script>`
  );
  const rows = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const options = ['--headless', '--disable-gpu', '--hide-scrollbars', '--virtual-time-budget=15000'];
  if (process.getuid() === 0) {
    options.push('--no-sandbox'); // as root, Chromium does not start with its sandbox
  }
  execFileSync(
    process.env.CHROMIUM ?? 'chromium',
    [
      ...options,
      `--window-size=1600,${rows * 38 + 24}`,
      `--user-data-dir=${join(work, 'profile')}`,
      `--screenshot=${resolve(picture)}`,
      `file://${join(work, 'page.html')}`,
    ],
    { stdio: 'ignore', timeout: 120_000 }
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}
