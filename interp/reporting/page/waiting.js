// Nothing to show yet: ask until there is, then become the report.

async function wait(failures) {
  let ended = false;
  try {
    const state = await (await fetch("state?viewer=waiting&version=0", { cache: "no-store" })).json();
    if (state.version > 0) {
      location.reload();
      return;
    }
    failures = 0;
    ended = state.ended;
    document.getElementById("line").textContent = state.trouble || state.line;
  } catch {
    failures += 1;
    if (failures > 5) {
      document.getElementById("line").textContent = "The process that served this page ended before there was anything to show.";
      return;
    }
  }
  if (!ended) setTimeout(() => wait(failures), 500);
}

wait(0);
