// Drag the paper through time, zoom by wheel or by two fingers; with calipers, measure.

const DRAG_PX = 6; // less is a click
const WHEEL_MS = 80; // one step of zoom for the many events of one turn

export function listen(chart) {
  const { rows } = chart;
  const fingers = new Map(); // x of each pointer that is down
  let start = null,
    pinch = null,
    wheeledAt = 0;

  const timeAt = (event) => {
    const box = rows.getBoundingClientRect();
    return chart.still.at(event.clientX - box.left, event.clientY - box.top).t;
  };
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.max(20, Math.abs(a - b));
  };
  const moved = (event) => {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event.clientX);
    if (pinch) {
      chart.zoomTo((pinch.span * pinch.apart) / apart(), pinch.at);
      return;
    }
    if (chart.calipers.dragging) {
      chart.calipers.drag(event);
      return;
    }
    if (!start) return;
    if (chart.live && (Math.abs(event.clientX - start.x) < DRAG_PX || !chart.pause())) return;
    start.from ??= chart.still.from;
    chart.show(start.from - ((event.clientX - start.x) / chart.still.width) * chart.still.rowSpan);
  };
  rows.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button")) return;
    rows.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event.clientX);
    if (fingers.size === 2 && !chart.calipers.open) {
      if (chart.live && !chart.pause()) return;
      pinch = { span: chart.still.span, apart: apart(), at: timeAt(event) };
    } else if (chart.calipers.open) chart.calipers.start(event);
    else start = { x: event.clientX };
  });
  rows.addEventListener("pointermove", moved);
  for (const name of ["pointerup", "pointercancel"])
    rows.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      start = pinch = null;
      chart.calipers.stop();
    });
  rows.addEventListener(
    "wheel",
    (event) => {
      // over a live trace the wheel alone scrolls the page
      if (chart.live && !event.ctrlKey) return;
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey)
        return chart.scroll(((event.deltaX || event.deltaY) / chart.still.width) * 0.3);
      if (event.timeStamp - wheeledAt < WHEEL_MS) return;
      wheeledAt = event.timeStamp;
      if (chart.live && !chart.pause()) return;
      chart.zoom(Math.sign(event.deltaY), timeAt(event));
    },
    { passive: false },
  );
}
