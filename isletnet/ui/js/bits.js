// Shared by the widgets: making elements, calling the service, keeping values between visits.
function element(name, properties = {}, ...children) {
  const { aria = {}, ...rest } = properties;
  const made = Object.assign(document.createElement(name), rest);
  for (const [key, value] of Object.entries(aria)) made.setAttribute(key === "role" ? key : `aria-${key}`, value);
  made.append(...children);
  return made;
}

function filled(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function sleep(ms) {
  return new Promise((wake) => setTimeout(wake, ms));
}

function apiPath(model, path) {
  return `${model.get("api_url")}/api${path}`;
}

// Asks again when the line breaks or the service says "later"; throws {code, message} for everything else.
async function callApi(model, path, options = {}, patienceMs = 120000) {
  const until = Date.now() + patienceMs;
  for (let pause = 500; ; pause = Math.min(2 * pause, 10000)) {
    let wait = pause;
    try {
      const answer = await fetch(apiPath(model, path), {
        credentials: "same-origin",
        ...options,
        headers: { ...model.get("headers"), ...options.headers },
      });
      if (answer.ok) return answer;
      const told = await answer.json().catch(() => ({}));
      const problem = { code: told.error?.code ?? "unexpected", message: told.error?.message ?? "" };
      if (![408, 429, 502, 503, 504].includes(answer.status) || Date.now() > until) throw problem;
      wait = 1000 * (Number(answer.headers.get("Retry-After")) || pause / 1000);
    } catch (error) {
      if (error.code !== undefined || error.name === "AbortError") throw error;
      if (Date.now() > until) throw { code: "unreachable", message: "" };
    }
    await sleep(wait);
  }
}

function problemText(model, problem) {
  const problems = model.get("problems") ?? {};
  return problems[problem?.code] || problem?.message || problems.unexpected || "";
}

function kept(name, fallback = "") {
  try {
    return JSON.parse(localStorage.getItem(`isletnet-${name}`)) ?? fallback;
  } catch {
    return fallback;
  }
}

function keep(name, value) {
  localStorage.setItem(`isletnet-${name}`, JSON.stringify(value));
}

function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
