for (const figure of document.querySelectorAll("figure[data-points]")) {
  const points = JSON.parse(figure.dataset.points), across = figure.dataset.across;
  const svg = figure.querySelector("svg"), here = figure.querySelector(".here"), said = figure.querySelector("output");
  const last = said.textContent;
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const near = points.reduce((best, one) => Math.abs(one[0] - x) < Math.abs(best[0] - x) ? one : best);
    here.setAttribute("cx", near[0]);
    here.setAttribute("cy", near[1]);
    here.setAttribute("visibility", "visible");
    said.textContent = `${across} ${near[2]}: ${near[3]}`;
  });
  svg.addEventListener("pointerleave", () => {
    here.setAttribute("visibility", "hidden");
    said.textContent = last;
  });
}
