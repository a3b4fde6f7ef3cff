// Sorts the cards of the gallery and plays a video from the time of a button.
(() => {
  const list = document.getElementById("videos");
  const order = document.getElementById("order");
  const comparators = {
    score: (a, b) => b.dataset.score - a.dataset.score,
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name),
    length: (a, b) => b.dataset.length - a.dataset.length,
  };
  order.addEventListener("change", () => list.append(...[...list.children].sort(comparators[order.value])));
  for (const card of list.children) {
    const video = card.querySelector("video");
    if (!video) continue;
    for (const button of card.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        video.currentTime = button.dataset.at;
        video.play();
      });
    }
  }
})();
