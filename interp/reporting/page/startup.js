// Opening a page: the library and the arrays are unpacked, and the page begins. What it remembers, and how it says that it cannot.

const DARK = window.matchMedia("(prefers-color-scheme: dark)");

// Files opened from disk may not be allowed to store anything: the choice then lasts as long as the page.
function stored(name) {
  try { return localStorage.getItem(`interp.${name}`); } catch { return null; }
}

function store(name, value) {
  try { localStorage.setItem(`interp.${name}`, value); } catch { /* see above */ }
}

function report(element, error) {
  const box = element || document.getElementById("trouble");
  box.hidden = false;
  box.textContent = `This could not be drawn: ${error.message || error}`;
  document.documentElement.dataset.failed = "true";
}

function textOf(id) {
  return document.getElementById(id).textContent;
}

// `begin` is called with the page's arrays once the library is there.
async function openPage(begin) {
  try {
    if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old; any from 2023 on will do");
    const [library, buffer] = await Promise.all([inflate(textOf("plotly")), inflate(textOf("blocks"))]);
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(library); // its hash is in the page's security policy
    document.head.append(script);
    await begin(buffer);
  } catch (error) {
    report(null, error);
  }
}
