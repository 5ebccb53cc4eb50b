// Draws boards in a browser: node draw.mjs JOB.json, which has prometheus, browser, live (by name, since when, where
// it is not the board's own range), pastScrape and liveScrape (seconds between samples), chosen and boards
// ({name: board}); writes NAME.png into `folder` and prints what became of each panel.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const require = createRequire(resolve('package.json'));
const { chromium } = require('playwright-core');
const UPNG = require('upng-js');
const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const [ROW, WIDTH, COLOURS] = [38, 1400, 96];
const TYPES = { html: 'text/html', js: 'text/javascript', css: 'text/css' };

const page = createServer((request, answer) => {
  const name = request.url === '/' ? 'index.html' : request.url.slice(1);
  if (!['index.html', 'boards.js', 'boards.css'].includes(name)) {
    answer.writeHead(404).end();
    return;
  }
  answer.writeHead(200, { 'content-type': TYPES[name.split('.')[1]] }).end(readFileSync(name));
});
await new Promise((listening) => page.listen(0, '127.0.0.1', listening));
const browser = await chromium.launch({
  executablePath: job.browser,
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server'],
});

const ended = ({ state }) => state === 'Done' || state === 'Error';

async function draw(name, board) {
  const height = Math.max(...board.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * ROW + 130;
  const tab = await browser.newPage({ viewport: { width: WIDTH, height } });
  const errors = [];
  tab.on('pageerror', (error) => errors.push(error.message));
  await tab.goto(`http://127.0.0.1:${page.address().port}/`);
  const { prometheus, chosen } = job;
  const scrape = job.live[name] ? job.liveScrape : job.pastScrape;
  await tab.evaluate(
    ([json, how, range]) => window.mount(json, how, range),
    [board, { prometheus, scrape, chosen }, job.live[name] ?? board.time.from]
  );
  const deadline = Date.now() + 30_000;
  let states = [];
  while (!(states.length && states.every(ended)) && Date.now() < deadline) {
    await tab.waitForTimeout(100);
    states = await tab.evaluate(() => window.states());
  }
  await tab.waitForTimeout(500); // the charts are drawn in animation frames after their data came
  const said = await tab.evaluate(() => document.body.innerText);
  const picture = await tab.screenshot();
  await tab.close();
  const image = UPNG.decode(picture);
  const small = UPNG.encode([UPNG.toRGBA8(image)[0]], image.width, image.height, COLOURS);
  writeFileSync(join(job.folder, `${name}.png`), Buffer.from(small));
  return { panels: states, errors, said };
}

const drawn = {};
for (const [name, board] of Object.entries(job.boards)) {
  drawn[name] = await draw(name, board);
}
await browser.close();
page.close();
console.log(JSON.stringify(drawn));
