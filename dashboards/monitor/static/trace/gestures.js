// Drag the paper through time, zoom with the wheel; with calipers, measure.

const DRAG_PX = 6; // less is a click

export function listen(chart) {
  const { rows } = chart;
  let start = null;
  const moved = (event) => {
    if (chart.calipers.dragging) {
      chart.calipers.drag(event);
      return;
    }
    if (!start) return;
    if (chart.live && (Math.abs(event.clientX - start.x) < DRAG_PX || !chart.pause())) return;
    start.from ??= chart.from;
    const to = start.from - ((event.clientX - start.x) / chart.width) * chart.rowSpan;
    chart.show(Math.min(to, chart.patient.time - chart.span / 2));
  };
  rows.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button")) return;
    rows.setPointerCapture(event.pointerId);
    if (chart.calipers.open) chart.calipers.start(event);
    else start = { x: event.clientX };
  });
  rows.addEventListener("pointermove", moved);
  for (const name of ["pointerup", "pointercancel"])
    rows.addEventListener(name, () => {
      start = null;
      chart.calipers.stop();
    });
  rows.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      chart.zoom(Math.sign(event.deltaY));
    },
    { passive: false },
  );
}
