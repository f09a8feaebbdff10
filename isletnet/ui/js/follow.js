// How far a request is, image by image, as the service tells it; asked again whenever the line breaks.
function render({ model, el }) {
  const texts = model.get("texts");
  const id = model.get("request_id");
  const overall = element("progress", { max: 1, value: 0, aria: { label: texts.progress } });
  const word = element("p", { className: "islet-follow-word", aria: { live: "polite" } });
  const rows = element("div", { className: "islet-follow-rows" });
  const link = element("input", { type: "text", readOnly: true, value: location.href, aria: { label: texts.link } });
  const copy = element("button", { type: "button", textContent: texts.copy });
  const cancel = element("button", { type: "button", className: "islet-danger", textContent: texts.cancel });
  copy.addEventListener("click", () => {
    link.select();
    if (navigator.clipboard) navigator.clipboard.writeText(link.value);
    else document.execCommand("copy");
    copy.textContent = texts.copied;
  });
  cancel.addEventListener("click", async () => {
    cancel.disabled = true;
    await callApi(model, `/requests/${id}/cancel`, { method: "POST" }).catch((problem) => (word.textContent = problemText(model, problem)));
  });
  el.append(
    element(
      "section",
      { className: "islet-section" },
      word,
      overall,
      rows,
      element("p", { className: "islet-quiet", textContent: texts.leave }),
      element("div", { className: "islet-row islet-link" }, link, copy, cancel),
    ),
  );

  function show(status) {
    overall.value = status.progress_fraction;
    word.textContent = texts.states[status.state] ?? status.state;
    rows.replaceChildren(
      ...status.images.map((image) => {
        const failed = image.state === "failed";
        const done = image.state === "done";
        const said = failed ? problemText(model, image) : texts.images[image.state];
        return element(
          "div",
          { className: `islet-progress ${failed ? "islet-severe" : done ? "islet-good" : ""}` },
          element("span", { className: "islet-progress-name", textContent: image.name }),
          element("progress", { max: 1, value: failed ? 1 : image.progress_fraction, aria: { label: image.name } }),
          element("span", { className: "islet-progress-text", textContent: said }),
        );
      }),
    );
  }

  const stop = new AbortController();
  const ended = new Set(["done", "dead", "cancelled", "deleted"]);

  async function listen() {
    const answer = await fetch(apiPath(model, `/requests/${id}/events`), { headers: model.get("headers"), signal: stop.signal, credentials: "same-origin" });
    if (!answer.ok) throw { code: (await answer.json().catch(() => ({}))).error?.code ?? "unreachable", status: answer.status };
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      const parts = (rest + value).split(/\r?\n\r?\n/);
      rest = parts.pop();
      for (const part of parts) {
        const data = /^data: ?(.+)$/m.exec(part)?.[1];
        if (!data || !/^event: ?status/m.test(part)) continue;
        const status = JSON.parse(data);
        show(status);
        if (ended.has(status.state)) {
          finish(status.state);
          return true;
        }
      }
    }
    return false;
  }

  function finish(state) {
    cancel.hidden = true;
    model.set("ended", state);
    model.save_changes();
    // Where the page's own process is gone, a new one reads the results.
    setTimeout(() => word.isConnected && location.reload(), 10000);
  }

  (async () => {
    for (let pause = 1000; !stop.signal.aborted; pause = Math.min(2 * pause, 15000)) {
      try {
        if (await listen()) return;
        pause = 1000;
      } catch (problem) {
        if (stop.signal.aborted) return;
        if (problem.status && problem.status < 500 && problem.status !== 429) {
          word.textContent = problemText(model, problem);
          return;
        }
        word.textContent = texts.line_lost;
      }
      await sleep(pause);
    }
  })();
  return () => stop.abort();
}

export default { render };
