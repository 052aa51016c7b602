// Exchanges each part of the page when the server sends it anew. Without scripts the page stands as it was served.
(function () {
  "use strict";
  var state = document.getElementById("live");
  var source = new EventSource("events");
  function tell(text) { if (state.textContent !== text) { state.textContent = text; } }
  source.onopen = function () { tell("live"); };
  source.onerror = function () {
    tell(source.readyState === EventSource.CLOSED
      ? "this page is not kept up to date: load it again" : "connection lost, trying again");
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
  source.onmessage = function (event) {
    var part = JSON.parse(event.data);
    show(part.id, part.html);
  };
  function show(id, html) {
    var place = document.getElementById(id);
    if (!place) { return; }
    if (isSelected(place)) { waiting[id] = html; return; }
    delete waiting[id];
    var scrolled = place.querySelectorAll(".scroll");
    var lefts = Array.prototype.map.call(scrolled, function (it) { return it.scrollLeft; });
    var focused = Array.prototype.indexOf.call(scrolled, document.activeElement);
    var open = Array.prototype.map.call(place.querySelectorAll("details"), function (it) { return it.open; });
    place.innerHTML = html;
    place.querySelectorAll("details").forEach(function (it, index) { it.open = open[index] || false; });
    place.querySelectorAll(".scroll").forEach(function (it, index) {
      it.scrollLeft = lefts[index] || 0;
      if (index === focused) { it.focus({ preventScroll: true }); }
    });
  }
})();
