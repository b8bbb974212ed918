// Chromium on a string: reads one command a line from stdin, as JSON, and answers each with one line on stdout.
//   open: an address; width, height, scheme: how it is looked at    evaluate: an expression to be run in the page
//   axe: true looks for what keeps people out                       screenshot: a path
//   click, fill: a selector (fill with value), then the next page is waited for
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox", "--disable-gpu"] });
let context, page, requests, complaints;

async function open({ open, width = 1300, height = 900, scheme = "light" }) {
  await context?.close();
  context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
  page = await context.newPage();
  requests = [];
  complaints = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  const response = await page.goto(open);
  return { status: response.status(), title: await page.title() };
}

async function look() {
  await page.evaluate(axe);
  const { violations } = await page.evaluate("axe.run({ resultTypes: ['violations'] })");
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(" | ")}`);
}

async function follow(action) {
  await Promise.all([page.waitForNavigation(), action]);
  return { title: await page.title() };
}

async function obey(command) {
  if ("open" in command) return open(command);
  if ("evaluate" in command) return page.evaluate(command.evaluate);
  if ("axe" in command) return look();
  if ("screenshot" in command) return void (await page.screenshot({ path: command.screenshot }));
  if ("click" in command) return follow(page.click(command.click));
  if ("fill" in command) {
    await page.fill(command.fill, command.value);
    return follow(page.press(command.fill, "Enter"));
  }
  if ("seen" in command) return { requests, complaints };
  throw new Error(`no such command: ${JSON.stringify(command)}`);
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { result: (await obey(JSON.parse(line))) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
