// New images: chosen or dropped here, sent by this browser to the service one by one, then submitted.
const AT_ONCE = 2;
const SILENCE_MS = 10000;
const REMEMBERED = ["sample_volume_ul", "dilution_factor", "preparation_volume_ml", "mail_to"];

function sendFile(model, path, file, onProgress) {
  return new Promise((done, failed) => {
    const line = new XMLHttpRequest();
    line.open("PUT", apiPath(model, path));
    for (const [name, value] of Object.entries(model.get("headers"))) line.setRequestHeader(name, value);
    line.upload.addEventListener("progress", (event) => onProgress(event.loaded / (event.total || 1)));
    line.addEventListener("error", () => failed({ again: true }));
    line.addEventListener("load", () => {
      if (line.status < 300) return done();
      let told = {};
      try {
        told = JSON.parse(line.responseText).error ?? {};
      } catch {
        // What stands between us and the service speaks no JSON.
      }
      const again = [408, 429, 502, 503, 504].includes(line.status);
      failed({ again, after: Number(line.getResponseHeader("Retry-After")), code: told.code ?? "unexpected", message: told.message });
    });
    line.send(file);
  });
}

async function sendSurely(model, path, item, say) {
  for (let pause = 1000, tries = 0; ; pause = Math.min(2 * pause, 15000), tries++) {
    try {
      return await sendFile(model, path, item.file, (share) => say(share));
    } catch (problem) {
      if (!problem.again || tries > 40) throw problem;
      say(null);
      await sleep(problem.after ? 1000 * problem.after : pause);
    }
  }
}

function render({ model, el }) {
  const texts = model.get("texts");
  const items = [];
  const list = element("ul", { className: "islet-files" });
  const note = element("p", { className: "islet-wrong", aria: { role: "alert" } });
  const picker = element("input", { type: "file", multiple: true, accept: "image/*,.tif,.tiff,.bmp", className: "islet-picker", id: "islet-picker" });
  const drop = element("label", { className: "islet-drop", htmlFor: "islet-picker" }, element("strong", { textContent: texts.drop }), element("span", { textContent: texts.drop_kinds }), picker);
  const submit = element("button", { type: "submit", className: "islet-main islet-submit", textContent: texts.submit });
  const state = element("span", { className: "islet-quiet", aria: { live: "polite" } });

  function refresh() {
    list.hidden = !items.length;
    submit.disabled = !items.length;
    several.block.hidden = items.length < 2;
    state.textContent = items.length ? filled(texts.chosen, { n: items.length }) : texts.none_chosen;
  }

  function add(file) {
    const item = { file, bitmap: null, id: randomName() };
    const thumbnail = element("canvas", { width: 112, height: 84, className: "islet-thumbnail", aria: { hidden: "true" } });
    item.um = element("input", { type: "number", min: "0.01", max: "200", step: "any", id: `um-${item.id}`, placeholder: "–" });
    item.source = element("span", { className: "islet-quiet" });
    item.consent = element("input", { type: "checkbox", id: `consent-${item.id}` });
    item.bar = element("progress", { max: 1, value: 0, hidden: true, aria: { label: file.name } });
    item.told = element("span", { className: "islet-told", aria: { live: "polite" } });
    const measure = element("button", { type: "button", textContent: texts.measure });
    const all = element("button", { type: "button", textContent: texts.for_all });
    const remove = element("button", { type: "button", className: "islet-remove", textContent: "✕", title: texts.remove, aria: { label: `${texts.remove}: ${file.name}` } });
    item.row = element(
      "li",
      {},
      thumbnail,
      element(
        "div",
        { className: "islet-file" },
        element("strong", { textContent: file.name }),
        element("span", { className: "islet-quiet", textContent: `${(file.size / 1e6).toLocaleString(document.documentElement.lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 })} MB` }),
        element("div", { className: "islet-row" }, element("label", { htmlFor: item.um.id, textContent: texts.um_per_px }), item.um, measure, all, item.source),
        element("label", { className: "islet-check" }, item.consent, element("span", { textContent: texts.consent })),
        item.bar,
        item.told,
      ),
      remove,
    );
    item.um.addEventListener("input", () => (item.source.textContent = item.um.value ? texts.typed : texts.uncalibrated));
    measure.addEventListener("click", async () => {
      const um = await measurePixel(texts, items.filter((one) => one.bitmap).map((one) => ({ name: one.file.name, bitmap: one.bitmap })));
      if (um) for (const one of items) if (one === item || !one.um.value) setUm(one, um, texts.measured);
    });
    all.addEventListener("click", () => {
      // The service reads it from this file alone; to the others it has to be told.
      for (const one of items) if (one !== item) setUm(one, item.um.value, item.um.value ? texts.copied : texts.uncalibrated);
    });
    remove.addEventListener("click", () => {
      items.splice(items.indexOf(item), 1);
      item.row.remove();
      refresh();
    });
    items.push(item);
    list.append(item.row);
    item.source.textContent = texts.uncalibrated;
    lookAt(file).then(({ bitmap, umPerPx }) => {
      item.bitmap = bitmap;
      if (umPerPx && !item.um.value) setUm(item, Number(umPerPx.toPrecision(6)), texts.from_file);
      paint(thumbnail, bitmap, file.name);
    });
  }

  function setUm(item, um, source) {
    item.um.value = um;
    item.source.textContent = source;
  }

  function paint(canvas, bitmap, name) {
    const pen = canvas.getContext("2d");
    if (!bitmap) {
      pen.fillStyle = "#5b6672";
      pen.font = "600 15px sans-serif";
      pen.textAlign = "center";
      pen.fillText(name.split(".").pop().toUpperCase().slice(0, 5), 56, 48);
      return;
    }
    const scale = Math.max(canvas.width / bitmap.width, canvas.height / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    pen.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  }

  picker.addEventListener("change", () => {
    for (const file of picker.files) add(file);
    picker.value = "";
    refresh();
  });
  for (const name of ["dragenter", "dragover"])
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("islet-over");
    });
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("islet-over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    for (const file of event.dataTransfer.files) add(file);
    refresh();
  });

  const before = kept("defaults", {});
  const fields = Object.fromEntries(
    model.get("fields").map(({ name, kind, label, value, step, min, max, hint }) => {
      const input = element("input", { type: kind, id: `islet-${name}`, value: (REMEMBERED.includes(name) ? before[name] : "") || value || "" });
      Object.assign(input, kind === "number" ? { step: step ?? "any", min: min ?? "0", max: max ?? "" } : { maxLength: 200 });
      return [name, { input, block: element("div", { className: "islet-field" }, element("label", { htmlFor: input.id, textContent: label }), input, element("small", { textContent: hint ?? "" })) }];
    }),
  );
  // Remembered like the others; `options` are [value, text].
  function choice(name, options, value) {
    const select = element("select", { id: `islet-${name}` }, ...options.map(([key, text]) => element("option", { value: key, textContent: text })));
    select.value = options.some(([key]) => key === before[name]) ? before[name] : value;
    const block = element("div", { className: "islet-field islet-wide" }, element("label", { htmlFor: select.id, textContent: texts[name] }), select, element("small", { textContent: texts[`${name}_hint`] }));
    return { select, block };
  }
  const networks = model.get("networks");
  const network = choice("network", networks.map(({ name, label }) => [name, label]), networks.find(({ isDefault }) => isDefault)?.name);
  const several = choice("several", [["fields", texts.several_fields], ["aliquots", texts.several_aliquots]], "fields");
  const sample = ["sample_name", "sample_volume_ul", "dilution_factor", "preparation_volume_ml", "recipient_kg", "pancreas_g", "settled_tissue_ml", "viability_percent", "endotoxin_eu_per_ml"];

  const form = element(
    "form",
    { className: "islet-intake" },
    element("section", { className: "islet-section" }, element("h2", { textContent: texts.images }), drop, list, element("p", { className: "islet-quiet islet-consent-why", textContent: texts.consent_why })),
    element("section", { className: "islet-section" }, element("h2", { textContent: texts.sample }), element("p", { className: "islet-quiet", textContent: texts.sample_why }), element("div", { className: "islet-grid" }, ...sample.map((name) => fields[name].block), several.block)),
    element("section", { className: "islet-section" }, element("h2", { textContent: texts.options }), element("div", { className: "islet-grid" }, network.block, fields.mail_to.block)),
    element("div", { className: "islet-row" }, submit, state),
    note,
  );

  function parameters() {
    const given = { network: network.select.value, consent_text: texts.consent };
    for (const [name, { input }] of Object.entries(fields)) {
      if (input.value === "") continue;
      if (name === "viability_percent") given.viability_fraction = Number(input.value) / 100;
      else given[name] = input.type === "number" ? Number(input.value) : input.value.trim();
    }
    given.images = {};
    items.forEach((item, k) => {
      given.images[k] = { consent: item.consent.checked };
      if (several.select.value === "aliquots") given.images[k].aliquot = String(k + 1);
      if (item.um.value && item.source.textContent !== texts.from_file) given.images[k].um_per_px = Number(item.um.value);
    });
    return given;
  }

  async function send() {
    const given = parameters();
    const remembered = Object.fromEntries(REMEMBERED.map((name) => [name, fields[name].input.value]));
    keep("defaults", { ...remembered, network: network.select.value, several: several.select.value });
    const once = { "Idempotency-Key": randomName() };
    const draft = await callApi(model, "/requests", { method: "POST", headers: { ...once, "Content-Type": "application/json" }, body: JSON.stringify(given) });
    const id = (await draft.json()).request_id;
    const waiting = items.map((item, k) => ({ item, k }));
    const refused = [];
    let arrived = 0;
    async function work() {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const { item, k } = next;
        item.bar.hidden = false;
        const say = (share) => {
          if (share !== null) item.bar.value = share;
          item.told.textContent = share === null ? texts.line_lost : "";
        };
        try {
          await sendSurely(model, `/requests/${id}/images/${k}?name=${encodeURIComponent(item.file.name)}`, item, say);
          [item.bar.value, item.told.textContent] = [1, texts.arrived];
          arrived++;
          state.textContent = filled(texts.sent, { done: arrived, n: items.length });
        } catch (problem) {
          item.told.textContent = problemText(model, problem);
          item.row.classList.add("islet-severe");
          refused.push(`${item.file.name}: ${item.told.textContent}`);
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (!arrived) throw { code: "nothing_sent", message: texts.nothing_sent };
    await callApi(model, `/requests/${id}/submit`, { method: "POST", headers: once });
    const address = new URL(location.href);
    address.searchParams.set("request", id);
    history.pushState({}, "", address);
    model.set("refused", refused);
    model.set("request_id", id);
    model.save_changes();
    // Where the page's own process is gone, the address alone brings the request back.
    setTimeout(() => form.isConnected && location.reload(), SILENCE_MS);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    note.textContent = "";
    for (const control of form.elements) control.disabled = true;
    try {
      await send();
    } catch (problem) {
      note.textContent = problemText(model, problem);
      for (const control of form.elements) control.disabled = false;
      refresh();
    }
  });
  addEventListener("popstate", () => location.reload());

  el.append(form);
  refresh();
}

export default { render };
