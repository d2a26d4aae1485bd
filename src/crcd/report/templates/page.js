const page = JSON.parse(document.getElementById("data").textContent);
const learners = [...document.querySelectorAll("input[name=focus]")].map((input) => input.nextElementSibling.textContent);
const choice = { ...page.choice };
const views = [];

const values = (column) => (column.words ? column.at.map((place) => column.words[place]) : column);

const rows = (columns) => {
  const names = Object.keys(columns);
  const plain = names.map((name) => values(columns[name]));
  return plain[0].map((_, i) => Object.fromEntries(names.map((name, j) => [name, plain[j][i]])));
};

const draw = async (id, { spec, tables, ofFocus }) => {
  const place = document.getElementById(id);
  const datasets = Object.fromEntries(Object.entries(tables).map(([name, columns]) => [name, rows(columns)]));
  try {
    const { view } = await window.vegaEmbed(place, { ...spec, datasets }, {
      renderer: "svg",
      actions: false,
      config: page.config,
      logLevel: 1, // errors: that a learner has no values in a chart is no mistake
    });
    const owners = ofFocus && tables.data.learner ? new Set(values(tables.data.learner)) : null;
    views.push({ place, view, owners, knows: new Set(spec.params.map((param) => param.name)) });
  } catch (error) {
    place.textContent = `This chart could not be drawn: ${error.message}`;
    console.error(error);
  }
};

const update = () => {
  const number = learners.indexOf(choice.focus);
  for (const part of document.querySelectorAll("[data-learner]")) part.hidden = Number(part.dataset.learner) !== number;
  for (const row of document.querySelectorAll("tr[data-row]")) row.classList.toggle("chosen", row.dataset.row === choice.focus);
  document.querySelector("input[name=focus]:checked")?.parentElement.scrollIntoView({ block: "nearest", inline: "nearest" });
  return Promise.all(views.map(({ place, view, owners, knows }) => {
    place.classList.toggle("empty", owners !== null && !owners.has(choice.focus));
    for (const [name, value] of Object.entries(choice)) if (knows.has(name)) view.signal(name, value);
    return view.runAsync();
  }));
};

document.addEventListener("change", ({ target }) => {
  if (target.name === "focus") choice.focus = learners[Number(target.value)];
  else if (target.name === "shown") {
    choice.shown = [...document.querySelectorAll("input[name=shown]:checked")].map((input) => learners[Number(input.value)]);
  } else if (target.dataset.signal) choice[target.dataset.signal] = target.value;
  update();
});

await Promise.all(Object.entries(page.charts).map(([id, chart]) => draw(id, chart)));
await update();
document.documentElement.dataset.drawn = views.length;
