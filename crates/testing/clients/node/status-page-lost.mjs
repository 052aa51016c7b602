// Keeps a status page open while its process ends and another one takes its place, and prints its text
// before, between and after as one JSON object. Arguments: host and port of the page, its URL, the id of
// the process.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const [, , url, id] = process.argv.slice(2);
const flags = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--no-first-run"];
const places = process.env.PATH.split(delimiter).map((directory) => join(directory, "chromium"));
const executablePath = places.find(existsSync);
if (!executablePath) throw new Error("chromium is missing: `cargo xtask tools` installs it");
const browser = await chromium.launch({ executablePath, chromiumSandbox: false, args: flags });
const page = await browser.newPage();
await page.goto(url);

const isLost = (lost) => page.waitForFunction(
  (lost) => document.body.classList.contains("lost") === lost
    && (lost || document.getElementById("live").textContent === "Live"), lost, { timeout: 60_000 });
const state = () => page.evaluate(() => ({
  lost: document.body.classList.contains("lost"),
  live: document.getElementById("live").textContent,
  process: document.getElementById("live").dataset.process,
  title: document.title,
  icon: document.querySelector("link[rel=icon]").href,
}));
const seen = {};
await isLost(false);
seen.before = await state();
process.kill(Number(id), "SIGTERM");
await isLost(true);
seen.after = await state();
// The other process is another page.
await page.waitForFunction(
  (before) => document.getElementById("live")?.dataset.process !== before
    && document.getElementById("live")?.textContent === "Live", seen.before.process, { timeout: 60_000 });
seen.again = await state();
await browser.close();
console.log(JSON.stringify(seen));
