// Views a status page as a person does, in Chromium: light and dark, wide and narrow, with and without
// scripts, and while values go through the proxy. Prints its observations as one JSON object. Arguments: host and
// port of the proxy, the URL of the page, a directory for screenshots.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { createClient } from "redis";
import { chromium } from "playwright-core";

const [host, port, url, directory] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const seen = { loads: [], console: [], failed: [], hosts: [], violations: [], overflows: [], figures: {} };

const flags = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--no-first-run"];
const places = process.env.PATH.split(delimiter).map((directory) => join(directory, "chromium"));
const executablePath = places.find(existsSync);
if (!executablePath) throw new Error("chromium is missing: `cargo xtask tools` installs it");
const browser = await chromium.launch({ executablePath, chromiumSandbox: false, args: flags });

/** A page in a context of its own, which records every error. */
async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) seen.console.push(message.text());
  });
  page.on("pageerror", (error) => seen.console.push(String(error)));
  page.on("requestfailed", (request) => {
    // An open stream of events fails when its page is closed.
    if (!request.url().endsWith("/events")) seen.failed.push(request.url());
  });
  page.on("request", (request) => {
    const origin = new URL(request.url()).host;
    if (!seen.hosts.includes(origin) && origin) seen.hosts.push(origin);
  });
  return page;
}

async function figure(page, name) {
  return (await page.locator(`[data-figure=${name}]`).textContent()).trim();
}

const sizes = { wide: { width: 1280, height: 900 }, narrow: { width: 360, height: 780 } };
for (const colorScheme of ["light", "dark"]) {
  for (const [name, viewport] of Object.entries(sizes)) {
    const page = await open({ colorScheme, viewport });
    await page.goto(url, { waitUntil: "load" });
    const took = await page.evaluate(() => performance.getEntriesByType("navigation")[0].loadEventStart);
    seen.loads.push(took);
    await page.screenshot({ path: join(directory, `status-${colorScheme}-${name}.png`), fullPage: true });
    const size = await page.evaluate(() => [document.scrollingElement.scrollWidth, window.innerWidth]);
    if (size[0] > size[1]) seen.overflows.push({ colorScheme, name, size });
    // The page's policy blocks foreign scripts: this one is injected by the debugger.
    await page.evaluate(axe);
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    for (const it of found.violations) {
      seen.violations.push({ colorScheme, name, id: it.id, nodes: it.nodes.map((node) => node.html.slice(0, 200)) });
    }
    seen.rules = (seen.rules ?? 0) + found.passes.length;
    await page.context().close();
  }
}

// The page replaces its parts while it is live: for a moment one may not be there.
async function boxOf(page, place) {
  for (let tries = 0; tries < 100; tries += 1) {
    const box = await page.locator(place).first().boundingBox();
    if (box) return box;
    await page.waitForTimeout(100);
  }
  throw new Error(`${place} is never visible`);
}

// Visible without scrolling: the verdict, the state of the first key, and the values under it.
seen.above_the_fold = {};
for (const width of [1280, 800]) {
  const page = await open({ viewport: { width, height: 800 } });
  await page.goto(url, { waitUntil: "load" });
  for (const place of ["#banner", "[data-key] [data-is=state]", "[data-key] [data-is=values]"]) {
    const box = await boxOf(page, place);
    seen.above_the_fold[`${place} at ${width}`] = box.y + box.height;
  }
  await page.context().close();
}

const still = await open({ javaScriptEnabled: false });
await still.goto(url);
seen.without_scripts = {
  sections: await still.locator("section").count(),
  sealed: await figure(still, "sealed"),
  live: (await still.locator("#live").textContent()).trim(),
};
// The button is a form: it redirects back to the page.
await still.locator("form button").click();
await still.waitForLoadState();
seen.without_scripts.checked = still.url() === url && (await still.locator("#banner").count()) === 1
  ? "Checking" : await still.content();
await still.context().close();

// Live: traffic through the proxy appears on an open page, and the reader's selection is preserved.
const page = await open({});
await page.goto(url);
await page.waitForFunction(() => document.getElementById("live").textContent === "Live");
const before = await figure(page, "sealed");
const client = await createClient({ socket: { host, port: Number(port) } }).connect();
for (let index = 0; index < 25; index += 1) await client.set(`wa:live${index}`, "{}");
await page.waitForFunction(
  (text) => document.querySelector("[data-figure=sealed]").textContent.trim() !== text, before, { timeout: 20_000 });
// Times advance even without events: the age of the process grows.
const age = () => page.locator("header [data-at]").textContent();
const first = await age();
await page.waitForFunction(
  (text) => document.querySelector("header [data-at]").textContent !== text, first, { timeout: 130_000 });
seen.ticks = { first, then: await age(), changed: (await age()) !== first };
seen.levels = [
  await page.locator("#banner").getAttribute("data-level"),
  (await page.title()).includes("critical") ? "critical" : await page.title(),
];
seen.sign = await page.evaluate(() => document.querySelector("link[rel=icon]").href);
seen.links = await page.evaluate(() => Array.from(document.links, (link) => link.href));
seen.live = { before, after: await figure(page, "sealed") };
// The selection stays while it exists; afterwards the latest figures are shown.
await page.evaluate(() => document.getSelection().selectAllChildren(document.getElementById("figures")));
for (let index = 0; index < 25; index += 1) await client.set(`wa:live${index}`, "{}");
await page.waitForTimeout(5_000);
const during = await figure(page, "sealed");
await page.evaluate(() => document.getSelection().removeAllRanges());
await page.waitForFunction(
  (text) => document.querySelector("[data-figure=sealed]").textContent.trim() !== text, during, { timeout: 20_000 });
seen.selection = { during, after: await figure(page, "sealed") };
for (const place of await page.locator("[data-figure]").all()) {
  seen.figures[await place.getAttribute("data-figure")] = (await place.textContent()).trim();
}
await client.close();
await browser.close();
console.log(JSON.stringify(seen));
