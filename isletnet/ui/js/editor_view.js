// What the editor shows: the picture, tissue, outlines, and where on it one looks. Lengths are in px of the micrograph
// unless a name says "screen".
const INK = { islet: "#56cdff", selected: "#ffe14d", tissue: "#ff82d7", casing: "#0c0e18", drawn: "#ffffff" };
const MARGIN_SCREEN = 8;
const REST_MS = 120;
// How much larger than the screen the sheet of outlines is, on each side.
const SPARE = 0.25;

function readOutlines(heads, buffer) {
  const points = new Float32Array(buffer.buffer, buffer.byteOffset, buffer.byteLength / 4);
  let at = 0;
  return heads.map(([number, ...lengths]) => {
    const path = new Path2D();
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    let twice = 0;
    for (const length of lengths) {
      const start = at;
      for (let k = 0; k < length; k++, at += 2) {
        const [x, y] = [points[at], points[at + 1]];
        if (k) path.lineTo(x, y);
        else path.moveTo(x, y);
        const next = k + 1 < length ? at + 2 : start;
        twice += x * points[next + 1] - y * points[next];
        box[0] = Math.min(box[0], x);
        box[1] = Math.min(box[1], y);
        box[2] = Math.max(box[2], x);
        box[3] = Math.max(box[3], y);
      }
      path.closePath();
    }
    return { number, path, box, area: Math.abs(twice) / 2 };
  });
}

class View {
  constructor(canvas, [width, height]) {
    Object.assign(this, { canvas, width, height, scale: 1, left: 0, top: 0 });
    this.context = canvas.getContext("2d");
    this.probe = document.createElement("canvas").getContext("2d");
    this.shapes = new Map();
    this.selected = new Set();
    this.part = null;
    this.hovered = 0;
    this.showsOutlines = true;
    this.stroke = { points: [], closed: false, width: 0 };
    this.cross = null;
    this.picture = this.tissue = this.sheet = null;
    this.wanted = false;
  }

  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth) return;
    this.smallest = Math.min(
      (clientWidth - 2 * MARGIN_SCREEN) / this.width,
      (clientHeight - 2 * MARGIN_SCREEN) / this.height,
    );
    this.scale = this.smallest;
    this.left = (this.width - clientWidth / this.scale) / 2;
    this.top = (this.height - clientHeight / this.scale) / 2;
    this.ask();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const isFitted = !this.smallest || this.scale === this.smallest;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    this.sheet = null;
    if (isFitted) this.fit();
    this.ask();
  }

  place(x, y) {
    return [this.left + x / this.scale, this.top + y / this.scale];
  }

  zoom(factor, x, y) {
    const [px, py] = this.place(x, y);
    this.scale = Math.min(Math.max(this.scale * factor, this.smallest), 16);
    this.left = px - x / this.scale;
    this.top = py - y / this.scale;
    this.hold();
  }

  pan(dx, dy) {
    this.left -= dx / this.scale;
    this.top -= dy / this.scale;
    this.hold();
  }

  // The middle of the screen stays on the picture.
  hold() {
    const half = [this.canvas.clientWidth / this.scale / 2, this.canvas.clientHeight / this.scale / 2];
    this.left = Math.min(Math.max(this.left, -half[0]), this.width - half[0]);
    this.top = Math.min(Math.max(this.top, -half[1]), this.height - half[1]);
    this.ask();
  }

  centre(shape) {
    const [left, top, right, bottom] = shape.box;
    this.left = (left + right - this.canvas.clientWidth / this.scale) / 2;
    this.top = (top + bottom - this.canvas.clientHeight / this.scale) / 2;
    this.hold();
  }

  shapeAt(x, y) {
    let found = null;
    for (const shape of this.shapes.values()) {
      const [left, top, right, bottom] = shape.box;
      if (x < left || x > right || y < top || y > bottom || (found && found.area < shape.area)) continue;
      if (this.probe.isPointInPath(shape.path, x, y, "evenodd")) found = shape;
    }
    return found;
  }

  put(shapes, gone = []) {
    for (const number of gone) this.shapes.delete(number);
    for (const shape of shapes) this.shapes.set(shape.number, shape);
    for (const number of this.selected) if (!this.shapes.has(number)) this.selected.delete(number);
    if (!this.shapes.has(this.hovered)) this.hovered = 0;
    this.sheet = null;
    this.ask();
  }

  async setTissue(png) {
    const mask = await createImageBitmap(new Blob([png], { type: "image/png" }));
    const tinted = new OffscreenCanvas(mask.width, mask.height);
    const context = tinted.getContext("2d");
    context.drawImage(mask, 0, 0);
    const data = context.getImageData(0, 0, mask.width, mask.height);
    const [red, green, blue] = [1, 3, 5].map((k) => parseInt(INK.tissue.slice(k, k + 2), 16));
    for (let k = 0; k < data.data.length; k += 4) {
      const level = data.data[k];
      data.data.set([red, green, blue, level ? 110 : 0], k);
    }
    context.putImageData(data, 0, 0);
    this.tissue = tinted;
    this.ask();
  }

  ask() {
    if (this.wanted) return;
    this.wanted = true;
    requestAnimationFrame(() => {
      this.wanted = false;
      this.draw();
    });
  }

  // Outlines are drawn on a sheet somewhat larger than the screen. While one moves, the sheet moves along; once one
  // rests, it is drawn anew. Thus hundreds of islets cost nothing in between.
  drawOutlines(zoom) {
    if (!this.sheet) this.renew(zoom);
    const { canvas, left, top, width, height } = this.sheet;
    this.context.drawImage(canvas, left, top, width, height);
    if (this.sheet.scale === this.scale && this.covers(this.sheet)) return;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      this.sheet = null;
      this.ask();
    }, REST_MS);
  }

  covers({ left, top, width, height }) {
    const right = Math.min(this.left + this.canvas.clientWidth / this.scale, this.width);
    const bottom = Math.min(this.top + this.canvas.clientHeight / this.scale, this.height);
    return left <= Math.max(this.left, 0) && top <= Math.max(this.top, 0) && left + width >= right && top + height >= bottom;
  }

  renew(zoom) {
    const [width, height] = [this.canvas.width, this.canvas.height].map((side) => (side * (1 + 2 * SPARE)) / zoom);
    const left = this.left - (width * SPARE) / (1 + 2 * SPARE);
    const top = this.top - (height * SPARE) / (1 + 2 * SPARE);
    const canvas = new OffscreenCanvas(Math.ceil(width * zoom) || 1, Math.ceil(height * zoom) || 1);
    const context = canvas.getContext("2d");
    context.setTransform(zoom, 0, 0, zoom, -left * zoom, -top * zoom);
    const all = new Path2D();
    for (const { box, path } of this.shapes.values())
      if (box[0] < left + width && box[2] > left && box[1] < top + height && box[3] > top) all.addPath(path);
    this.line(all, INK.islet, 1.5, context);
    this.sheet = { canvas, left, top, width, height, scale: this.scale };
  }

  line(path, colour, screen, context = this.context) {
    context.lineJoin = "bevel";
    context.lineWidth = (screen + 2) / this.scale;
    context.strokeStyle = INK.casing;
    context.stroke(path);
    context.lineWidth = screen / this.scale;
    context.strokeStyle = colour;
    context.stroke(path);
  }

  draw() {
    const { context, canvas } = this;
    const ratio = canvas.width / (canvas.clientWidth || 1);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#15181d";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const zoom = ratio * this.scale;
    context.setTransform(zoom, 0, 0, zoom, -this.left * zoom, -this.top * zoom);
    context.imageSmoothingEnabled = this.scale < 3;
    if (this.picture) context.drawImage(this.picture, 0, 0, this.width, this.height);
    if (this.showsOutlines) {
      if (this.tissue) context.drawImage(this.tissue, 0, 0, this.width, this.height);
      if (this.shapes.size) this.drawOutlines(zoom);
    }
    const hovered = this.shapes.get(this.hovered);
    if (hovered) this.wash(hovered.path, "rgba(86,205,255,.22)");
    for (const number of this.selected) {
      const { path } = this.shapes.get(number);
      this.wash(path, "rgba(255,225,77,.28)");
      this.line(path, INK.selected, 2.5);
    }
    if (this.part) this.line(this.part.path, INK.selected, 2.5);
    this.drawStroke();
    if (this.cross) this.drawCross();
  }

  wash(path, colour) {
    this.context.fillStyle = colour;
    this.context.fill(path, "evenodd");
  }

  drawStroke() {
    const { points, closed, width } = this.stroke;
    if (!points.length) return;
    const path = new Path2D();
    points.forEach(([x, y], k) => (k ? path.lineTo(x, y) : path.moveTo(x, y)));
    if (points.length === 1) path.lineTo(points[0][0] + 0.01, points[0][1]);
    if (closed) path.closePath();
    if (width) {
      this.context.lineJoin = this.context.lineCap = "round";
      this.context.lineWidth = width;
      this.context.strokeStyle = "rgba(255,255,255,.45)";
      this.context.stroke(path);
      return;
    }
    this.line(path, INK.drawn, 2);
  }

  drawCross() {
    const [x, y] = this.cross;
    const arm = 12 / this.scale;
    const path = new Path2D();
    path.moveTo(x - arm, y);
    path.lineTo(x + arm, y);
    path.moveTo(x, y - arm);
    path.lineTo(x, y + arm);
    this.line(path, INK.drawn, 1.5);
  }
}
