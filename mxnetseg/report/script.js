"use strict";
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const tip = document.getElementById("tip");
  const large = document.getElementById("large");

  const tell = (event, lines) => {
    tip.textContent = "";
    for (const [color, text] of lines) {
      const line = tip.appendChild(document.createElement("div"));
      if (color) {
        const swatch = line.appendChild(document.createElement("i"));
        swatch.className = "swatch";
        swatch.style.background = color;
      }
      line.append(text);
    }
    tip.hidden = !lines.length;
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 16 + box.width < innerWidth ? event.clientX + 14 : event.clientX - box.width - 10;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 16, innerHeight - box.height - 4)) + "px";
  };
  const silent = () => { tip.hidden = true; };
  addEventListener("scroll", silent, { passive: true });

  // tables: a click on a heading sorts by data-v
  for (const head of all(".sortable thead th:not([data-none])")) {
    head.onclick = () => {
      const table = head.closest("table"), body = table.tBodies[0];
      const column = head.cellIndex, text = "text" in head.dataset;
      const up = head.classList.contains("down") || (text && !head.classList.contains("up"));
      for (const other of all("thead th", table)) other.classList.remove("up", "down");
      head.classList.add(up ? "up" : "down");
      const value = (row) => row.cells[column].dataset.v;
      const rows = [...body.rows].sort((a, b) =>
        text ? value(a).localeCompare(value(b)) : value(a) - value(b));
      body.append(...(up ? rows : rows.reverse()));
    };
  }

  // tabs
  for (const button of all("[data-tab]")) {
    button.onclick = () => {
      for (const other of all("[data-tab]")) other.classList.toggle("on", other === button);
      for (const panel of all("[data-panel]")) panel.hidden = panel.dataset.panel !== button.dataset.tab;
    };
  }

  // confusion: the numbers under the pointer
  for (const box of all(".confusions")) {
    const { names, shares, pixels } = JSON.parse(box.querySelector("script").textContent);
    const cells = box.querySelector(".cells");
    cells.onpointermove = (event) => {
      const area = cells.getBoundingClientRect();
      const at = (v, start, size) => Math.min(names.length - 1, Math.max(0, Math.floor((v - start) / size * names.length)));
      const row = at(event.clientY, area.top, area.height), column = at(event.clientX, area.left, area.width);
      const share = shares[row][column];
      const said = share === 65535 ? "does not occur" : row === column
        ? `${(share / 100).toFixed(2)} % of its ${pixels[row].toLocaleString("en")} pixels are found`
        : `${(share / 100).toFixed(2)} % of its pixels are taken for ${names[column]}`;
      tell(event, [[null, names[row]], [null, said]]);
    };
    cells.onpointerleave = silent;
  }

  const blend = document.getElementById("blend");
  if (!blend) return;
  blend.oninput = () => document.documentElement.style.setProperty("--blend", blend.value / 100);

  // pictures: the classes under the pointer, read from the label maps themselves
  const names = JSON.parse(document.getElementById("colors").textContent);
  const drawn = new WeakMap();
  const colorAt = (image, x, y) => {
    if (!drawn.has(image)) {
      const canvas = document.createElement("canvas");
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      drawn.set(image, context);
    }
    const context = drawn.get(image), { width, height } = context.canvas;
    const [r, g, b, a] = context.getImageData(Math.min(width - 1, x * width | 0), Math.min(height - 1, y * height | 0), 1, 1).data;
    return a ? "#" + [r, g, b].map((v) => v.toString(16).padStart(2, "0")).join("") : null;
  };
  for (const panels of all(".panels")) {
    const masks = all(".mask", panels);
    panels.onpointermove = (event) => {
      const photo = event.target.closest(".photo");
      if (!photo) return silent();
      const area = photo.getBoundingClientRect();
      const x = (event.clientX - area.left) / area.width, y = (event.clientY - area.top) / area.height;
      tell(event, masks.filter((m) => m.complete && m.naturalWidth).map((mask) => {
        const color = colorAt(mask, Math.max(0, x), Math.max(0, y));
        return [color || "transparent", `${mask.alt}: ${color ? names[color] || "?" : "ignored"}`];
      }));
    };
    panels.onpointerleave = silent;
  }

  // large: two layers and a slider between them
  const shots = all(".shot"), stage = large.querySelector(".stage"), slider = large.querySelector("input");
  const choices = all("select", large);
  const chosen = ["image", "prediction"];
  let current = 0;
  const layers = () => all(".photo", shots[current]);
  const half = (photo) => {
    const layer = photo.cloneNode(true);
    layer.classList.replace("photo", "half");
    return layer;
  };
  const place = () => {
    const fit = stage.querySelector(".fit"), [w, h] = fit.dataset.ratio.split("/").map(Number);
    const scale = Math.min(stage.clientWidth / w, stage.clientHeight / h);
    fit.style.width = w * scale + "px";
    fit.style.height = h * scale + "px";
  };
  const split = () => {
    const share = slider.value / 10, fit = stage.querySelector(".fit");
    fit.children[1].style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    fit.children[2].style.left = `calc(${share}% - 1px)`;
  };
  const show = () => {
    const photos = layers();
    large.querySelector("b").textContent = shots[current].querySelector("b").textContent;
    choices.forEach((choice, side) => {
      choice.textContent = "";
      photos.forEach((photo, k) => choice.append(new Option(photo.dataset.name, k)));
      const wanted = photos.findIndex((p) => p.dataset.name === chosen[side]);
      choice.value = wanted >= 0 ? wanted : side ? photos.findIndex((p) => p.dataset.name.startsWith(chosen[side])) : 0;
      if (choice.selectedIndex < 0) choice.value = 0;
    });
    const fit = document.createElement("div"), line = document.createElement("div");
    fit.className = "fit";
    line.className = "divide";
    fit.dataset.ratio = getComputedStyle(shots[current].querySelector(".panels")).getPropertyValue("--ratio");
    fit.append(half(photos[choices[1].value]), half(photos[choices[0].value]), line);
    fit.onpointermove = fit.onpointerdown = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const area = fit.getBoundingClientRect();
      slider.value = 1000 * (event.clientX - area.left) / area.width;
      split();
    };
    stage.replaceChildren(fit);
    place();
    split();
  };
  const open = (index, name) => {
    current = (index + shots.length) % shots.length;
    if (name && name !== "image") chosen[1] = name;
    if (!large.open) large.showModal();
    silent();
    show();
  };
  shots.forEach((shot, index) => all(".photo", shot).forEach((photo) => {
    photo.onclick = () => open(index, photo.dataset.name);
  }));
  choices.forEach((choice, side) => {
    choice.onchange = () => { chosen[side] = layers()[choice.value].dataset.name; show(); };
  });
  slider.oninput = split;
  addEventListener("resize", () => { if (large.open) place(); });
  large.querySelector("[data-close]").onclick = () => large.close();
  all("[data-step]", large).forEach((b) => { b.onclick = () => open(current + Number(b.dataset.step)); });
  large.onkeydown = (event) => {
    if (event.target.matches("input, select")) return;
    if (event.key === "ArrowLeft") open(current - 1);
    if (event.key === "ArrowRight") open(current + 1);
  };
})();
