// Exchanges each part of the page when the server sends it anew. Without scripts the page stands as it was served.
(function () {
  "use strict";
  var state = document.getElementById("live");
  var source = new EventSource("events");
  function tell(text) { if (state.textContent !== text) { state.textContent = text; } }
  source.onopen = function () { tell("live"); };
  source.onerror = function () { tell("connection lost, trying again"); };
  source.onmessage = function (event) {
    var part = JSON.parse(event.data);
    var place = document.getElementById(part.id);
    if (!place || place.contains(document.getSelection().anchorNode) && !document.getSelection().isCollapsed) { return; }
    var scrolled = place.querySelectorAll(".scroll");
    var lefts = Array.prototype.map.call(scrolled, function (it) { return it.scrollLeft; });
    var focused = Array.prototype.indexOf.call(scrolled, document.activeElement);
    var open = Array.prototype.map.call(place.querySelectorAll("details"), function (it) { return it.open; });
    place.innerHTML = part.html;
    place.querySelectorAll("details").forEach(function (it, index) { it.open = open[index] || false; });
    place.querySelectorAll(".scroll").forEach(function (it, index) {
      it.scrollLeft = lefts[index] || 0;
      if (index === focused) { it.focus({ preventScroll: true }); }
    });
  };
})();
