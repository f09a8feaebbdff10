// Hands on the canvas: mouse, fingers, pen and keyboard become selections and strokes.
const DRAWING = new Set(["add", "add_tissue", "redraw", "split", "erase"]);
const SLIP_SCREEN = 5;
const TOOL_KEYS = { v: "select", a: "add", t: "add_tissue", r: "redraw", s: "split", e: "erase" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class Hands {
  // `told` hears: select(point, several), draw(tool, points, radius), act(name), tool(name).
  constructor(view, told) {
    Object.assign(this, { view, told, tool: "select", radiusScreen: 12, pointers: new Map(), several: false });
    this.down = null;
    const { canvas } = view;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.lift(event));
    canvas.addEventListener("pointercancel", (event) => this.drop(event));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => {
      view.cross = null;
      view.ask();
    });
  }

  at(event) {
    const box = this.view.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  choose(tool) {
    this.tool = tool;
    this.giveUp();
    this.view.canvas.style.cursor = tool === "select" ? "default" : "crosshair";
  }

  giveUp() {
    this.view.stroke = { points: [], closed: false, width: 0 };
    this.view.ask();
  }

  begin(point) {
    const width = this.tool === "erase" ? (2 * this.radiusScreen) / this.view.scale : 0;
    this.view.stroke = { points: [point], closed: this.tool !== "split" && this.tool !== "erase", width };
    this.view.ask();
  }

  end() {
    const { points } = this.view.stroke;
    if (points.length) this.told.draw(this.tool, points, this.radiusScreen / this.view.scale);
    this.giveUp();
  }

  press(event) {
    const place = this.at(event);
    this.view.canvas.focus({ preventScroll: true });
    this.view.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, place);
    this.view.cross = null;
    if (this.pointers.size === 2) {
      this.down = null;
      this.giveUp();
      return;
    }
    if (this.pointers.size > 2) return;
    const pans = this.tool === "select" || event.button === 1 || event.button === 2;
    this.down = { place, pans, moved: false };
    if (!pans) this.begin(this.view.place(...place));
  }

  move(event) {
    const place = this.at(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.hover(place);
      return;
    }
    if (this.pointers.size === 2) this.pinch(event.pointerId, place);
    this.pointers.set(event.pointerId, place);
    if (!this.down) return;
    if (Math.hypot(place[0] - this.down.place[0], place[1] - this.down.place[1]) > SLIP_SCREEN) this.down.moved = true;
    if (this.down.pans) {
      if (this.down.moved) this.view.pan(place[0] - before[0], place[1] - before[1]);
      return;
    }
    const { points } = this.view.stroke;
    if (!points.length) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) {
      const point = this.view.place(...this.at(one));
      const last = points[points.length - 1];
      if (Math.hypot(point[0] - last[0], point[1] - last[1]) * this.view.scale > 1.5) points.push(point);
    }
    this.view.ask();
  }

  lift(event) {
    const { down } = this;
    this.drop(event);
    if (!down) return;
    if (!down.pans) this.end();
    else if (!down.moved && this.tool === "select")
      this.told.select(this.view.place(...down.place), this.several || event.shiftKey || event.ctrlKey || event.metaKey);
  }

  drop(event) {
    this.pointers.delete(event.pointerId);
    this.down = null;
    if (event.type === "pointercancel") this.giveUp();
  }

  pinch(moving, place) {
    const [other] = [...this.pointers].filter(([id]) => id !== moving).map(([, at]) => at);
    const before = this.pointers.get(moving);
    const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]);
    this.view.pan((place[0] - before[0]) / 2, (place[1] - before[1]) / 2);
    this.view.zoom(apart(place) / Math.max(apart(before), 1), (place[0] + other[0]) / 2, (place[1] + other[1]) / 2);
  }

  hover(place) {
    const shape = place && this.tool === "select" ? this.view.shapeAt(...this.view.place(...place)) : null;
    const number = shape ? shape.number : 0;
    if (number === this.view.hovered) return;
    this.view.hovered = number;
    this.view.canvas.style.cursor = this.tool === "select" ? (number ? "pointer" : "default") : "crosshair";
    this.view.ask();
  }

  wheel(event) {
    event.preventDefault();
    this.view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...this.at(event));
  }

  key(event) {
    const done = event.ctrlKey || event.metaKey ? this.chord(event) : !event.altKey && this.plainKey(event);
    if (done) event.preventDefault();
  }

  chord(event) {
    const key = event.key.toLowerCase();
    if (key !== "z" && key !== "y") return false;
    this.told.act(key === "y" || event.shiftKey ? "redo" : "undo");
    return true;
  }

  plainKey(event) {
    const { canvas } = this.view;
    const middle = [canvas.clientWidth / 2, canvas.clientHeight / 2];
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const acts = { Delete: "delete", Backspace: "delete", m: "merge", c: "class", n: "next", p: "previous" };
    if (key in ARROWS) this.step(ARROWS[key], event.shiftKey ? 1 : 12);
    else if (key in TOOL_KEYS) this.told.tool(TOOL_KEYS[key]);
    else if (key in acts) this.told.act(acts[key]);
    else if (key === "+" || key === "=") this.view.zoom(1.4, ...middle);
    else if (key === "-") this.view.zoom(1 / 1.4, ...middle);
    else if (key === "0") this.view.fit();
    else if (key === "Escape") this.escape();
    else if (key === "Enter" || key === " ") this.set(key === "Enter", event.shiftKey);
    else return false;
    return true;
  }

  escape() {
    if (this.view.stroke.points.length) this.giveUp();
    else this.told.act("none");
  }

  step([dx, dy], screen) {
    const { view } = this;
    const middle = view.place(view.canvas.clientWidth / 2, view.canvas.clientHeight / 2);
    const [x, y] = view.cross ?? middle;
    const far = screen / view.scale;
    view.cross = [
      Math.min(Math.max(x + dx * far, 0), view.width),
      Math.min(Math.max(y + dy * far, 0), view.height),
    ];
    const [sx, sy] = [(view.cross[0] - view.left) * view.scale, (view.cross[1] - view.top) * view.scale];
    if (sx < 0 || sy < 0 || sx > view.canvas.clientWidth || sy > view.canvas.clientHeight)
      view.pan(-dx * screen * 4, -dy * screen * 4);
    view.ask();
  }

  set(ends, several) {
    const { view } = this;
    if (!view.cross) return;
    if (!DRAWING.has(this.tool)) {
      this.told.select(view.cross, this.several || several);
      return;
    }
    if (ends) this.end();
    else if (view.stroke.points.length) view.stroke.points.push(view.cross);
    else this.begin(view.cross);
    view.ask();
  }
}
