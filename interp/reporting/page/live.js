// A page that is served while what it shows goes on: it asks what is new, and takes it in without losing its place.

const ASK = 1000; // milliseconds between two questions
// What the page draws by itself, and what belongs to the reader: left alone when the text around it is renewed.
const OWN = ".cells, .legend, .numbers .scroll";
const CHOICES = ["open", "hidden", "style", "aria-pressed"];

class Live {
  // `view` is what is shown: its `version`, the `roots` whose text is renewed, `read(text)` of the page's data, whether it `fits`
  // other data, `take(source, buffer)`, and `heard()`, which is called with every answer.
  constructor(view) {
    this.view = view;
    this.version = view.version; // the last one that is shown as a whole
    this.missed = ""; // what came after it and could not be shown, in words
    this.viewer = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.failures = 0;
    this.bar = Object.assign(document.createElement("div"), { className: "live" });
    this.line = document.createElement("p");
    this.note = document.createElement("p");
    this.note.setAttribute("role", "status"); // read aloud when it changes; the line changes all the time
    this.bar.append(this.line, this.note);
    document.querySelector(".skip").after(this.bar);
  }

  async follow() {
    let state = null;
    try {
      const response = await fetch(`state?viewer=${this.viewer}&version=${this.version}`, { cache: "no-store" });
      if (!response.ok) throw new Error(response.statusText);
      state = await response.json();
      this.failures = 0;
    } catch {
      this.failures += 1;
    }
    if (this.failures > 3) {
      this.say("ended", `No longer connected: the process that served this page has ended. ${this.missed}What it shows stays as long as the tab is open.`);
      return;
    }
    if (state && await this.heard(state)) return;
    setTimeout(() => this.follow(), ASK);
  }

  // What the server says; true once there is nothing more to come.
  async heard(state) {
    this.view.heard();
    this.line.textContent = state.line;
    const isNew = state.version !== this.version;
    if (isNew && (!document.hidden || state.ended)) {
      try {
        await this.update();
        this.missed = "";
      } catch (error) {
        this.missed = `What is new could not be shown: ${error.message || error}. `;
        this.say("trouble", this.missed.trim());
        return false;
      }
    }
    if (state.ended && state.version === this.version) {
      // Once more, so that the server knows that this page has everything.
      await fetch(`state?viewer=${this.viewer}&version=${state.version}`, { cache: "no-store" }).catch(() => null);
      const complete = state.trouble ? `${state.trouble} This page` : "This page is complete and";
      this.say("ended", `${complete} is no longer updated; it can be read as long as the tab is open.`);
      return true;
    }
    this.say(state.trouble ? "trouble" : "live", state.trouble || "");
    return false;
  }

  say(kind, text) {
    this.bar.dataset.state = kind;
    if (this.note.textContent !== text) this.note.textContent = text;
  }

  async update() {
    const response = await fetch("update", { cache: "no-store" });
    const then = new DOMParser().parseFromString(await response.text(), "text/html");
    const text = (id) => then.getElementById(id).textContent;
    const source = await this.view.read(text("page"));
    const buffer = await inflate(text("blocks"));
    // Where a panel came or went the page begins anew, which happens once or twice at most.
    if (!this.view.fits(source) || !this.view.roots.every((root) => renew(document.querySelector(root), then.querySelector(root)))) {
      location.reload();
      return new Promise(() => {});
    }
    document.title = then.title;
    await this.view.take(source, buffer);
    this.version = this.view.version;
  }
}

// Bring the text of one tree to that of another, touching nothing that is the same already; false if figures stand in the way.
function renew(now, then) {
  if (now.matches(OWN)) return true;
  for (const { name, value } of then.attributes) {
    if (!CHOICES.includes(name) && now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  const [ours, theirs] = [[...now.children], [...then.children]];
  const alike = ours.length === theirs.length && ours.every((child, i) => child.tagName === theirs[i].tagName && child.id === theirs[i].id);
  const mixed = [...then.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (alike && ours.length && !mixed) return ours.every((child, i) => renew(child, theirs[i]));
  if (now.innerHTML === then.innerHTML) return true;
  if (now.querySelector(".plot") || then.querySelector(".plot")) return false;
  now.replaceChildren(...Array.from(then.childNodes, (node) => document.importNode(node, true)));
  return true;
}
