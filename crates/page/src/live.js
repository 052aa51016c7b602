// Replaces each part of the page when the server sends a new one, keeps distances in time up to date, and
// says so when the server is not heard any more. Without scripts the page stands as it was served.
(function () {
  "use strict";
  var LOST_AFTER = 10000;
  var live = document.getElementById("live");
  var icon = document.querySelector("link[rel=icon]");
  var banner = function () { return document.getElementById("banner"); };
  var process = live.dataset.process;
  // The server's clock counts, whatever this machine's says.
  var offset = Number(live.dataset.nowMs) - Date.now();
  var heard = Date.now();
  var source = new EventSource("events");

  // A notice stays long enough to be read.
  var noticeUntil = 0;
  function notice(text) { tell(text); noticeUntil = Date.now() + 6000; }
  function tell(text) { if (live.textContent !== text) { live.textContent = text; } }
  function utc(ms) { return new Date(ms).toISOString().slice(11, 19) + " UTC"; }

  // As `format::rough_span` has it.
  function span(ms) {
    var s = Math.floor(ms / 1000);
    if (s < 120) { return s + " s"; }
    if (s < 7200) { return Math.floor(s / 60) + " min"; }
    if (s < 172800) { return Math.floor(s / 3600) + " h"; }
    return Math.floor(s / 86400) + " d";
  }
  function distance(element, now) {
    var past = now - Number(element.dataset.at);
    if (element.dataset.form === "age") { return span(Math.max(past, 0)); }
    return past < 0 ? "in " + span(-past) : span(past) + " ago";
  }
  function write(element, text) { if (element.textContent !== text) { element.textContent = text; } }
  function tick(root) {
    var now = Date.now() + offset;
    root.querySelectorAll("[data-at]").forEach(function (it) { write(it, distance(it, now)); });
  }
  function tellNow() {
    document.querySelectorAll("[data-now]").forEach(function (it) { write(it, utc(heard + offset)); });
  }

  // A page that is not kept up to date must not look as if all were well.
  function showSign() {
    var isLost = document.body.classList.contains("lost");
    var href = isLost ? icon.dataset.lost : banner().querySelector("img").src;
    if (icon.href !== href) { icon.href = href; }
    var title = (isLost ? "not up to date, last: " : "") + banner().dataset.title;
    if (document.title !== title) { document.title = title; }
  }
  function lose(text) {
    document.body.classList.add("lost");
    tell(text);
    showSign();
  }
  function lostText() {
    return "No connection to this process, trying again. This page shows what it said at " + utc(heard + offset);
  }
  source.onerror = function () {
    lose(source.readyState === EventSource.CLOSED
      ? "This page is not kept up to date: load it again. It shows what the process said at " + utc(heard + offset)
      : lostText());
  };
  setInterval(function () {
    if (source.readyState === EventSource.OPEN && Date.now() - heard > LOST_AFTER) { lose(lostText()); }
    // A selection would not outlive the change.
    if (document.getSelection().isCollapsed) { tick(document); }
  }, 1000);

  source.onmessage = function (event) {
    var part = JSON.parse(event.data);
    if (part.id) { return show(part.id, part.html); }
    // Another process answers at the same address: its head is another one as well.
    if (String(part.process) !== process) { return location.reload(); }
    heard = Date.now();
    offset = part.now_ms - heard;
    document.body.classList.remove("lost");
    if (Date.now() > noticeUntil) { tell("Live"); }
    if (document.getSelection().isCollapsed) { tellNow(); }
    showSign();
  };

  // What the reader has selected is left alone until it is not selected any more.
  var waiting = {};
  function isSelected(place) {
    var selection = document.getSelection();
    return !selection.isCollapsed && place.contains(selection.anchorNode);
  }
  document.addEventListener("selectionchange", function () {
    Object.keys(waiting).forEach(function (id) { show(id, waiting[id]); });
  });
  var FOCUSABLE = "a[href], button, summary, .scroll";
  function show(id, html) {
    var place = document.getElementById(id);
    if (!place) { return; }
    if (isSelected(place)) { waiting[id] = html; return; }
    delete waiting[id];
    var lefts = Array.prototype.map.call(place.querySelectorAll(".scroll"), function (it) { return it.scrollLeft; });
    var focused = Array.prototype.indexOf.call(place.querySelectorAll(FOCUSABLE), document.activeElement);
    var open = Array.prototype.map.call(place.querySelectorAll("details"), function (it) { return it.open; });
    place.innerHTML = html;
    tick(place);
    tellNow();
    place.querySelectorAll("details").forEach(function (it, index) { it.open = open[index] || false; });
    place.querySelectorAll(".scroll").forEach(function (it, index) { it.scrollLeft = lefts[index] || 0; });
    var again = place.querySelectorAll(FOCUSABLE)[focused];
    if (again) { again.focus({ preventScroll: true }); }
    if (id === "state") { showSign(); }
  }

  document.addEventListener("submit", function (event) {
    event.preventDefault();
    fetch(event.target.action, { method: "POST", redirect: "manual" }).then(function (answer) {
      return answer.type === "opaqueredirect" ? "Checking" : answer.text();
    }).then(notice, function () { lose(lostText()); });
  });
})();
