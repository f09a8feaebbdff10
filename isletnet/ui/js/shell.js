// The head of a page. The language is kept as a cookie, so that the server knows it before the kernel starts; the key
// lives in this tab only.
const KEY = "isletnet-key";
const KERNEL_LOOK_MS = 30000;
const THEME = "isletnet-theme";

function showTheme() {
  const chosen = localStorage.getItem(THEME);
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function speak(language) {
  document.cookie = `isletnet-language=${language}; path=/; max-age=31536000; samesite=lax`;
  const address = new URL(location.href);
  address.searchParams.set("lang", language);
  location.href = address;
}

// In Voila each page has a kernel of its own, which ends when nobody has used it for long.
function watchKernel(notice) {
  const told = document.getElementById("jupyter-config-data");
  const { kernelId, baseUrl } = told && document.body.dataset.voila ? JSON.parse(told.textContent) : {};
  if (!kernelId) return;
  async function look() {
    if (document.hidden || !notice.hidden) return;
    const answer = await fetch(`${baseUrl}api/kernels/${kernelId}`, { cache: "no-store" }).catch(() => null);
    if (answer?.status === 404) notice.hidden = false;
  }
  setInterval(look, KERNEL_LOOK_MS);
  addEventListener("focus", look);
}

function render({ model, el }) {
  const texts = model.get("texts");
  document.documentElement.lang = model.get("language");
  document.title = `${model.get("title")} · isletnet`;
  showTheme();

  const links = model.get("links").map(({ href, text, active }) => {
    const link = element("a", { href, textContent: text });
    if (active) link.setAttribute("aria-current", "page");
    return element("li", {}, link);
  });
  const languages = element("select", { aria: { label: texts.language }, className: "islet-language" });
  for (const [code, name] of Object.entries(model.get("languages")))
    languages.append(element("option", { value: code, textContent: name, selected: code === model.get("language") }));
  languages.addEventListener("change", () => speak(languages.value));
  const theme = element("button", { type: "button", textContent: "◐", title: texts.theme, aria: { label: texts.theme } });
  theme.addEventListener("click", () => {
    localStorage.setItem(THEME, isDark() ? "light" : "dark");
    showTheme();
  });
  const person = element("span", { className: "islet-person" });
  const out = element("button", { type: "button", textContent: texts.sign_out });
  out.addEventListener("click", () => {
    sessionStorage.removeItem(KEY);
    location.reload();
  });

  const field = element("input", { type: "password", autocomplete: "off", required: true, id: "islet-key" });
  const wrong = element("p", { className: "islet-wrong" });
  wrong.setAttribute("role", "alert");
  const form = element(
    "form",
    { className: "islet-sign-in" },
    element("p", { textContent: texts.key_why }),
    element("label", { textContent: texts.key, htmlFor: "islet-key" }),
    field,
    element("button", { type: "submit", textContent: texts.sign_in, className: "islet-main" }),
    wrong,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, field.value.trim());
    enter(field.value.trim());
  });

  function enter(key) {
    model.set("key", "");
    model.set("key", key);
    model.save_changes();
  }

  function update() {
    const needsKey = model.get("needs_key");
    form.hidden = !needsKey;
    wrong.textContent = model.get("problem");
    person.textContent = model.get("person");
    out.hidden = !sessionStorage.getItem(KEY) || needsKey;
    const kept = sessionStorage.getItem(KEY);
    if (needsKey && kept && !model.get("key")) enter(kept);
  }
  model.on("change:needs_key change:problem change:person", update);

  const reload = element("button", { type: "button", textContent: texts.reload });
  reload.addEventListener("click", () => location.reload());
  const asleep = element("div", { className: "islet-notice islet-warning islet-row", hidden: true, aria: { role: "alert" } }, texts.asleep, reload);
  watchKernel(asleep);

  el.append(
    element("a", { href: "#islet-content", className: "islet-skip", textContent: texts.skip }),
    element(
      "div",
      { className: "islet-head" },
      element("a", { href: "analyse", className: "islet-name", textContent: "isletnet" }),
      element("nav", {}, element("ul", {}, ...links)),
      element("span", { className: "islet-tools" }, person, out, languages, theme),
    ),
    element("h1", { id: "islet-content", tabIndex: -1, textContent: model.get("title") }),
    asleep,
    form,
  );
  update();
}

export default { render };
