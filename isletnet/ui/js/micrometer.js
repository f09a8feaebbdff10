// Measures the size of a pixel: a line drawn over a known length on a picture of a stage micrometer.
function measurePixel(texts, pictures) {
  return new Promise((done) => {
    const canvas = element("canvas", { className: "islet-micrometer", tabIndex: 0, aria: { label: texts.micrometer_canvas } });
    const length = element("input", { type: "number", min: "1", step: "any", value: "1000", id: "islet-known-um" });
    const found = element("output", { className: "islet-found" });
    const other = element("input", { type: "file", accept: "image/*,.tif,.tiff", className: "islet-picker" });
    const otherLabel = element("label", { className: "islet-button", textContent: texts.micrometer_file }, other);
    const choice = element("select", { aria: { label: texts.micrometer_picture } });
    pictures.forEach(({ name }, k) => choice.append(element("option", { value: k, textContent: name })));
    const use = element("button", { type: "button", className: "islet-main", textContent: texts.micrometer_use, disabled: true });
    const cancel = element("button", { type: "button", textContent: texts.cancel });
    const dialog = element(
      "dialog",
      { className: "islet-dialog", aria: { label: texts.micrometer_title } },
      element("h2", { textContent: texts.micrometer_title }),
      element("p", { textContent: texts.micrometer_how }),
      element("div", { className: "islet-row" }, choice, otherLabel),
      canvas,
      element("div", { className: "islet-row" }, element("label", { htmlFor: "islet-known-um", textContent: texts.micrometer_length }), length, found),
      element("div", { className: "islet-row" }, use, cancel),
    );
    let bitmap = null;
    let line = null;
    let drawing = false;
    const scale = () => (bitmap ? bitmap.width / canvas.width : 1);

    function answer() {
      if (!line || !(Number(length.value) > 0)) return null;
      const pixels = scale() * Math.hypot(line[2] - line[0], line[3] - line[1]);
      return pixels < 10 ? null : Number(length.value) / pixels;
    }
    function draw() {
      const pen = canvas.getContext("2d");
      pen.clearRect(0, 0, canvas.width, canvas.height);
      if (bitmap) pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      if (line) {
        for (const [width, colour] of [[5, "#fff"], [2.5, "#c00"]]) {
          pen.lineWidth = width;
          pen.strokeStyle = colour;
          pen.beginPath();
          pen.moveTo(line[0], line[1]);
          pen.lineTo(line[2], line[3]);
          pen.stroke();
        }
      }
      const value = answer();
      use.disabled = value === null;
      found.textContent = value === null ? "" : filled(texts.micrometer_found, { um: value.toPrecision(4) });
    }
    function show(next) {
      [bitmap, line] = [next, null];
      const [wide, tall] = [Math.min(900, innerWidth - 80), Math.max(innerHeight - 380, 200)];
      canvas.width = bitmap ? Math.round(Math.min(wide, (tall * bitmap.width) / bitmap.height)) : wide;
      canvas.height = bitmap ? Math.round((canvas.width * bitmap.height) / bitmap.width) : 200;
      draw();
    }
    const at = (event) => [event.offsetX * (canvas.width / canvas.clientWidth), event.offsetY * (canvas.height / canvas.clientHeight)];
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      drawing = true;
      line = [...at(event), ...at(event)];
      draw();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drawing) return;
      line = [line[0], line[1], ...at(event)];
      draw();
    });
    canvas.addEventListener("pointerup", () => (drawing = false));
    // Arrows move the line's end, so that no pointer is needed.
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      line ??= [canvas.width / 4, canvas.height / 2, (3 * canvas.width) / 4, canvas.height / 2];
      line = [line[0], line[1], line[2] + step[0], line[3] + step[1]];
      draw();
    });
    length.addEventListener("input", draw);
    choice.addEventListener("change", () => show(pictures[choice.value].bitmap));
    other.addEventListener("change", async () => other.files[0] && show((await lookAt(other.files[0])).bitmap));
    function close(value) {
      dialog.close();
      dialog.remove();
      done(value);
    }
    use.addEventListener("click", () => close(Number(answer().toPrecision(5))));
    cancel.addEventListener("click", () => close(null));
    dialog.addEventListener("cancel", () => close(null));
    document.querySelector(".isletnet").append(dialog);
    dialog.showModal();
    show(pictures[0]?.bitmap ?? null);
  });
}
