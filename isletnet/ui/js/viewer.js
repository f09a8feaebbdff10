// The result of one image: the picture with outlines that zooms and pans, the table of islets and the histogram. What is
// under the cursor, chosen in the table or in the histogram, is marked in all three.
// As in the editor and in the pictures to save.
const COLOURS = { Islet: "#56cdff", "Small particle": "#ffffff", "Exocrine tissue": "#ff82d7" };
const MARKED = "#ffe14d";
const BIN_UM = 50;
const FEWEST_BINS = 7;
const TALLEST = 0.85;

function render({ model, el }) {
  const texts = model.get("texts");
  const base = `/requests/${model.get("request_id")}/images/${model.get("number")}`;
  const version = `?version=${model.get("version")}`;
  const umPerPx = model.get("um_per_px");
  // Of the original; what the browser gets to see may be smaller.
  const size = { width: model.get("width_px"), height: model.get("height_px") };
  const format = (value, digits) => value.toLocaleString(model.get("language"), { minimumFractionDigits: digits, maximumFractionDigits: digits });

  const canvas = element("canvas", { className: "islet-viewer", tabIndex: 0, aria: { label: texts.viewer, role: "application" } });
  const told = element("p", { className: "islet-under-cursor", aria: { live: "polite" }, textContent: texts.viewer_how });
  const tool = (text, title, act) => {
    const button = element("button", { type: "button", textContent: text, title, aria: { label: title } });
    button.addEventListener("click", act);
    return button;
  };
  const outlines = element("input", { type: "checkbox", checked: true, id: `outlines-${base}` });
  const tools = element(
    "div",
    { className: "islet-row islet-no-print" },
    tool("+", texts.zoom_in, () => zoom(1.4)),
    tool("−", texts.zoom_out, () => zoom(1 / 1.4)),
    tool("⤢", texts.zoom_fit, () => fit()),
    element("label", { className: "islet-check" }, outlines, element("span", { textContent: texts.outlines })),
  );
  const legend = element("ul", { className: "islet-legend" });
  const histogram = element("div", { className: "islet-histogram" });
  const rows = element("tbody");
  const head = element("tr", {}, ...[texts.number, texts.diameter, texts.area, texts.ieq, texts.circularity].map((text) => element("th", { scope: "col", textContent: text })));
  const table = element("div", { className: "islet-table islet-islets", tabIndex: 0, aria: { label: texts.table } }, element("table", {}, element("thead", {}, head), rows));
  el.append(element("div", { className: "islet-linked" }, element("div", {}, canvas, legend, tools, told), element("div", {}, histogram, table)));

  let picture = null;
  let islets = [];
  let shapes = [];
  let view = { scale: 1, x: 0, y: 0 };
  let marked = null;
  let markedBin = null;

  const diameter = (islet) => (umPerPx ? islet.equal_area_diameter_um : islet.equal_area_diameter_px);
  const binOf = (islet) => (umPerPx ? Math.floor(diameter(islet) / BIN_UM) : 0);

  // The scale at which all of the picture is seen.
  const least = () => Math.min(canvas.width / size.width, canvas.height / size.height);

  function fit() {
    view = { scale: least(), x: 0, y: 0 };
    settle();
    draw();
  }

  function zoom(factor, at = [canvas.width / 2, canvas.height / 2]) {
    const scale = Math.min(Math.max(view.scale * factor, least()), 20);
    const real = scale / view.scale;
    view = { scale, x: at[0] - (at[0] - view.x) * real, y: at[1] - (at[1] - view.y) * real };
    settle();
    draw();
  }

  // The picture never leaves the window; where it is smaller than that, it stands in the middle.
  function settle() {
    const held = (at, spare) => (spare > 0 ? spare / 2 : Math.min(0, Math.max(spare, at)));
    view.x = held(view.x, canvas.width - size.width * view.scale);
    view.y = held(view.y, canvas.height - size.height * view.scale);
  }

  function draw() {
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(view.scale, 0, 0, view.scale, view.x, view.y);
    pen.imageSmoothingEnabled = view.scale < 3;
    pen.drawImage(picture, 0, 0, size.width, size.height);
    // A line is as thick as that many pixels of the screen, whatever the zoom.
    const screen = canvas.width / Math.max(canvas.clientWidth, 1) / view.scale;
    if (outlines.checked) {
      // A dark line below makes the colour stand out on any ground.
      pen.strokeStyle = "rgba(12, 14, 24, 0.75)";
      for (const shape of shapes) {
        pen.lineWidth = (shape.islet ? 3.5 : 2.5) * screen;
        pen.stroke(shape.path);
      }
      for (const shape of shapes) {
        pen.lineWidth = (shape.islet ? 1.8 : 1.2) * screen;
        pen.strokeStyle = COLOURS[shape.kind] ?? "#fff";
        pen.stroke(shape.path);
      }
    }
    const chosen = shapes.filter((one) => one.islet && (one.islet === marked || (markedBin !== null && one.islet.is_islet && binOf(one.islet) === markedBin)));
    for (const shape of chosen) {
      pen.fillStyle = "rgba(255, 225, 77, 0.3)";
      pen.fill(shape.path, "evenodd");
      for (const [width, colour] of [[6, "#0c0e18"], [3, MARKED]]) {
        pen.lineWidth = width * screen;
        pen.strokeStyle = colour;
        pen.stroke(shape.path);
      }
    }
  }

  function mark(islet, { scroll = false } = {}) {
    if (marked === islet) return;
    marked = islet;
    for (const row of rows.children) row.classList.toggle("islet-marked", row.islet === islet);
    for (const bar of histogram.querySelectorAll("rect[data-bin]"))
      bar.classList.toggle("islet-marked", islet !== null && islet.is_islet && Number(bar.dataset.bin) === binOf(islet));
    told.textContent = islet ? describe(islet) : texts.viewer_how;
    if (islet && scroll) {
      const row = [...rows.children].find((one) => one.islet === islet);
      if (row) table.scrollTop = row.offsetTop - table.clientHeight / 2;
    }
    draw();
  }

  function describe(islet) {
    const kind = islet.is_islet ? texts.islet : texts.particle;
    const unit = umPerPx ? "µm" : "px";
    const ieq = umPerPx && islet.is_islet ? ` · ${format(islet.ieq, 2)} IEQ` : "";
    return `${kind} ${islet.number} · ${format(diameter(islet), 0)} ${unit}${ieq}`;
  }

  function under(event) {
    const box = canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) * canvas.width) / box.width;
    const y = ((event.clientY - box.top) * canvas.height) / box.height;
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    const [px, py] = [(x - view.x) / view.scale, (y - view.y) / view.scale];
    const found = shapes.find((shape) => shape.islet && px >= shape.box[0] && px <= shape.box[2] && py >= shape.box[1] && py <= shape.box[3] && pen.isPointInPath(shape.path, px, py, "evenodd"));
    return { at: [x, y], islet: found?.islet ?? null };
  }

  const pointers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, under(event).at);
    mark(under(event).islet, { scroll: true });
  });
  canvas.addEventListener("pointermove", (event) => {
    const { at, islet } = under(event);
    const before = pointers.get(event.pointerId);
    if (!before) return mark(islet, { scroll: true });
    const others = [...pointers].filter(([name]) => name !== event.pointerId);
    pointers.set(event.pointerId, at);
    if (others.length) {
      const other = others[0][1];
      const spread = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
      zoom(spread(at) / Math.max(spread(before), 1), other);
    } else {
      view.x += at[0] - before[0];
      view.y += at[1] - before[1];
      settle();
      draw();
    }
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => mark(null));
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && view.scale <= least() + 1e-6 && event.deltaY > 0) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), under(event).at);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (moves) [view.x, view.y] = [view.x + moves[0], view.y + moves[1]];
    else if (event.key === "+") return zoom(1.4);
    else if (event.key === "-") return zoom(1 / 1.4);
    else if (event.key === "0") return fit();
    else return;
    event.preventDefault();
    settle();
    draw();
  });
  outlines.addEventListener("change", draw);

  function explain() {
    const names = { Islet: texts.islet, "Small particle": texts.particle, "Exocrine tissue": texts.exocrine };
    const found = Object.keys(names).filter((kind) => shapes.some((shape) => shape.kind === kind));
    legend.replaceChildren(
      ...found.map((kind) => {
        const swatch = element("span", { className: "islet-swatch" });
        swatch.style.borderColor = COLOURS[kind];
        return element("li", {}, swatch, names[kind]);
      }),
    );
  }

  function fill() {
    const shown = islets.filter((one) => one.is_islet).sort((a, b) => diameter(b) - diameter(a));
    head.children[1].textContent = umPerPx ? texts.diameter : texts.diameter_px;
    head.children[2].textContent = umPerPx ? texts.area : texts.area_px;
    head.children[3].hidden = !umPerPx;
    rows.replaceChildren(
      ...shown.map((islet) => {
        const cells = [format(diameter(islet), 0), format(umPerPx ? islet.area_um2 : islet.area_px, 0), ...(umPerPx ? [format(islet.ieq, 2)] : []), format(islet.circularity, 2)];
        const row = element("tr", { tabIndex: 0 }, element("th", { scope: "row", textContent: islet.number }), ...cells.map((text) => element("td", { textContent: text })));
        row.islet = islet;
        row.addEventListener("pointerenter", () => mark(islet));
        row.addEventListener("focus", () => mark(islet));
        row.addEventListener("click", () => centre(islet));
        row.addEventListener("keydown", (event) => event.key === "Enter" && centre(islet));
        return row;
      }),
    );
    if (umPerPx) histogram.append(chart(shown));
  }

  function centre(islet) {
    const scale = Math.max(view.scale, 2 * least());
    view = { scale, x: canvas.width / 2 - islet.x * scale, y: canvas.height / 2 - islet.y * scale };
    settle();
    draw();
  }

  function chart(shown) {
    const counts = [];
    for (const islet of shown) counts[binOf(islet)] = (counts[binOf(islet)] ?? 0) + 1;
    const first = Math.min(...shown.map(binOf), 1);
    const bins = Array.from({ length: Math.max(counts.length - first, FEWEST_BINS) }, (_, k) => counts[k + first] ?? 0);
    const most = Math.max(...bins, 1);
    const [width, height, floor] = [480, 170, 138];
    const step = width / Math.max(bins.length, 1);
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": texts.histogram });
    bins.forEach((n, k) => {
      const bin = k + first;
      const tall = (n / most) * (floor - 18);
      const bar = svg("rect", { x: k * step + 1.5, y: floor - tall, width: step - 3, height: tall, "data-bin": bin });
      bar.append(svg("title", {}, `${bin * BIN_UM}–${(bin + 1) * BIN_UM} µm: ${n}`));
      bar.addEventListener("pointerenter", () => ((markedBin = bin), draw()));
      bar.addEventListener("pointerleave", () => ((markedBin = null), draw()));
      drawing.append(bar);
      if (n) drawing.append(svg("text", { x: (k + 0.5) * step, y: floor - tall - 4, "text-anchor": "middle" }, String(n)));
      if (bins.length < 11 || k % 2 === 0) drawing.append(svg("text", { x: k * step, y: floor + 14, "text-anchor": k ? "middle" : "start" }, String(bin * BIN_UM)));
    });
    drawing.append(svg("text", { x: width / 2, y: height - 3, "text-anchor": "middle" }, texts.histogram));
    return drawing;
  }

  function shapeOf(feature) {
    const path = new Path2D();
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    const polygons = feature.geometry.type === "Polygon" ? [feature.geometry.coordinates] : feature.geometry.coordinates;
    for (const ring of polygons.flat()) {
      ring.forEach(([x, y], k) => {
        if (k) path.lineTo(x, y);
        else path.moveTo(x, y);
        box[0] = Math.min(box[0], x);
        box[1] = Math.min(box[1], y);
        box[2] = Math.max(box[2], x);
        box[3] = Math.max(box[3], y);
      });
      path.closePath();
    }
    const { measurements, classification, name } = feature.properties;
    const kind = classification?.name ?? "";
    const islet = measurements?.area_px === undefined || !/islet|particle/i.test(kind) ? null : { ...measurements, x: measurements.centroid_x_px, y: measurements.centroid_y_px, ieq: measurements[`ieq_${model.get("ieq_method")}`], number: Number(/\d+$/.exec(name ?? "")?.[0]), is_islet: /^islet/i.test(kind) };
    return { path, box, kind, islet };
  }

  (async () => {
    try {
      const [image, contours] = await Promise.all([
        callApi(model, `${base}/picture.jpg`).then((answer) => answer.blob()),
        callApi(model, `${base}/contours.geojson${version}`).then((answer) => answer.json()),
      ]);
      picture = await createImageBitmap(image);
      canvas.width = Math.min(size.width, 1400);
      // All of an upright picture fits on a screen, too.
      canvas.height = Math.round(canvas.width * Math.min(size.height / size.width, TALLEST));
      shapes = contours.features.map(shapeOf);
      islets = shapes.filter((shape) => shape.islet).map((shape) => shape.islet);
      fit();
      explain();
      fill();
      el.dataset.ready = "yes";
    } catch (problem) {
      told.textContent = problemText(model, problem);
    }
  })();
}

export default { render };
