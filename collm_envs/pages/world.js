// Block worlds one can turn: the data in #worlds, drawn on a canvas in place of each picture in #stage.
// Faces are painted back to front, as collm_envs/render/faces.py does it for the still pictures.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("worlds").textContent);
  const stage = document.getElementById("stage");
  const [width, height, depth] = data.size;
  const [yaw0, pitch0] = data.view;
  const view = { yaw: yaw0, pitch: pitch0, turn: data.turns.length - 1, marks: true, eyes: -1 };
  const radians = (degrees) => (degrees * Math.PI) / 180;
  const margin = 0.8 + height * Math.max(...data.shadow);

  function camera() {
    const a = radians(view.yaw), b = radians(view.pitch);
    const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)];
    return {
      toward: [sa >= 0 ? 1 : -1, 1, ca >= 0 ? 1 : -1],
      shift: [data.shadow[0] * ca - data.shadow[1] * sa, -data.shadow[0] * sa - data.shadow[1] * ca],
      see: (x, y, z) => [x * ca - z * sa, -(y * cb - (x * sa + z * ca) * sb)],
    };
  }

  function shade(colour, light) {
    const parts = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
    return "rgb(" + parts.map((p) => Math.round(light <= 1 ? p * light : p + (255 - p) * (light - 1))) + ")";
  }

  function faces([x, y, z], [sx, , sz]) {
    const atX = x + (sx > 0 ? 1 : 0), atZ = z + (sz > 0 ? 1 : 0);
    return [
      ["y", [x, y + 1, z], [[x, y + 1, z + 1], [x + 1, y + 1, z + 1], [x + 1, y + 1, z], [x, y + 1, z]]],
      ["x", [x + sx, y, z], [[atX, y, z], [atX, y, z + 1], [atX, y + 1, z + 1], [atX, y + 1, z]]],
      ["z", [x, y, z + sz], [[x, y, atZ], [x + 1, y, atZ], [x + 1, y + 1, atZ], [x, y + 1, atZ]]],
    ];
  }

  // Convex hull, always the same way round, so that one fill unites all shadows.
  function hull(points) {
    const turn = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    const chain = (ordered) => {
      const kept = [];
      for (const p of ordered) {
        while (kept.length > 1 && turn(kept[kept.length - 2], kept[kept.length - 1], p) <= 0) kept.pop();
        kept.push(p);
      }
      return kept.slice(0, -1);
    };
    const ordered = points.slice().sort((p, q) => p[0] - q[0] || p[1] - q[1]);
    return [...chain(ordered), ...chain(ordered.reverse())];
  }

  function draw(canvas, cells) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const { toward, shift, see } = camera();
    const box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    const pen = canvas.getContext("2d");
    const plate = [[-margin, -margin], [width + margin, -margin], [width + margin, depth + margin], [-margin, depth + margin]];
    const corners = plate.map(([x, z]) => see(x, 0, z));
    for (const x of [0, width]) for (const z of [0, depth]) corners.push(see(x, height, z));
    const xs = corners.map((p) => p[0]), ys = corners.map((p) => p[1]);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const scale = Math.min(box.width / (right - left), box.height / (bottom - top)) * 0.98;
    pen.scale(ratio, ratio);
    pen.translate(box.width / 2 - (scale * (left + right)) / 2, box.height / 2 - (scale * (top + bottom)) / 2);
    pen.lineJoin = pen.lineCap = "round";

    const trace = (points, close) => {
      points.forEach(([x, y], k) => (k ? pen.lineTo(x * scale, y * scale) : pen.moveTo(x * scale, y * scale)));
      if (close) pen.closePath();
    };
    const paint = (points, fill, edge, thick, dash) => {
      pen.beginPath();
      trace(points, fill !== null);
      if (fill) { pen.fillStyle = fill; pen.fill(); }
      pen.setLineDash(dash || []);
      if (edge) { pen.strokeStyle = edge; pen.lineWidth = thick; pen.stroke(); }
    };
    const on = (q, line) => line.map(([u, v]) => [0, 1].map((k) => q[0][k] + u * (q[1][k] - q[0][k]) + v * (q[3][k] - q[0][k])));

    paint(plate.map(([x, z]) => see(x, 0, z)), colour("--ground"), colour("--grid"), 1);
    for (let x = 0; x <= width; x++) paint([see(x, 0, 0), see(x, 0, depth)], null, colour("--grid"), 1);
    for (let z = 0; z <= depth; z++) paint([see(0, 0, z), see(width, 0, z)], null, colour("--grid"), 1);
    pen.beginPath();
    for (const [x, y, z, look] of cells) {
      if (look === -1) continue;
      const fallen = [];
      for (const h of [y, y + 1]) for (const dx of [0, 1]) for (const dz of [0, 1])
        fallen.push(see(x + dx + h * shift[0], 0, z + dz + h * shift[1]));
      trace(hull(fallen), true);
    }
    pen.fillStyle = colour("--shadow");
    pen.fill();

    const shown = view.marks ? cells : cells.filter((cell) => cell[3] !== -1);
    const stands = new Map(shown.map((cell) => [cell.slice(0, 3).join(), cell[3]]));
    const glass = (look) => look >= 0 && data.looks[look][1] === "glass";
    const near = ([x, y, z]) => x * toward[0] + y + z * toward[2];
    const edge = Math.max(0.5, Math.min(1, scale / 24));
    for (const cell of shown.slice().sort((p, q) => near(p) - near(q))) {
      const [look, mark] = cell.slice(3);
      for (const [axis, beyond, around] of faces(cell, toward)) {
        const next = stands.get(beyond.join());
        if (next !== undefined && (next < 0 ? look === next : !glass(next) || glass(look))) continue;
        const quad = around.map((corner) => see(...corner));
        if (look === -2) {
          pen.globalAlpha = 0.4;
          paint(quad, colour("--quiet"));
          pen.globalAlpha = 1;
          paint(quad, "", colour("--paper"), 0.7);
          continue;
        }
        if (look < 0) {
          pen.globalAlpha = 0.08;
          paint(quad, colour("--s0"));
          pen.globalAlpha = 0.65;
          paint(quad, "", colour("--s0"), 0.9, [3, 2.4]);
          pen.globalAlpha = 1;
          continue;
        }
        const [base, pattern] = data.looks[look], lit = shade(base, data.light[axis]);
        pen.globalAlpha = pattern === "glass" ? 0.45 : 1;
        paint(quad, lit);
        pen.globalAlpha = 1;
        for (const line of data.patterns[pattern] || [])
          paint(on(quad, line), null, pattern === "glass" ? "rgb(255 255 255 / .6)" : shade(base, data.light[axis] * 0.74), edge * 0.8);
        paint(quad, "", "rgb(0 0 0 / .36)", edge);
        if (view.marks && mark === "wrong") paint(on(quad, [[0.25, 0.25], [0.75, 0.75]]), null, "#e69f00", 2.2);
        if (view.marks && mark === "extra") {
          paint(on(quad, [[0.25, 0.25], [0.75, 0.75]]), null, "#e0452c", 2.2);
          paint(on(quad, [[0.25, 0.75], [0.75, 0.25]]), null, "#e0452c", 2.2);
        }
      }
    }
  }

  // Through one agent's eyes: fog (look -2) over blocks of others, and over all of the target that it does not see.
  function fogged(cells, seenOf, target) {
    if (view.eyes < 0) return cells;
    const eyes = data.eyes[view.eyes], seen = seenOf(eyes);
    const fog = (cell) => [...cell.slice(0, 3), -2, "fog"];
    const others = cells.filter((cell, k) => !seen[k] && cell[3] >= 0);
    return [...cells.filter((cell, k) => seen[k]), ...(target ? eyes.fog : others).map(fog)];
  }

  const canvases = [];
  stage.querySelectorAll(".pair figure").forEach((figure, k) => {
    const picture = figure.querySelector("svg"), canvas = document.createElement("canvas");
    const [w, h] = depth > 1 ? [1, 0.86] : picture.getAttribute("viewBox").split(" ").slice(2);
    canvas.style.aspectRatio = Math.min(2.6, Math.max(1.1, w / h));
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", picture.getAttribute("aria-label") + "; arrow keys turn it");
    picture.replaceWith(canvas);
    const cells = () => (k ? fogged(data.target, (eyes) => eyes.target, true) : fogged(data.turns[view.turn], (eyes) => eyes.turns[view.turn], false));
    canvases.push([canvas, cells, figure.querySelector("figcaption")]);
  });

  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      for (const [canvas, cells] of canvases) draw(canvas, cells());
    });
  }
  function turnBy(yaw, pitch) {
    view.yaw += yaw;
    view.pitch = Math.min(85, Math.max(4, view.pitch + pitch));
    redraw();
  }

  for (const [canvas] of canvases) {
    let last = null;
    canvas.addEventListener("pointerdown", (e) => { last = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointermove", (e) => {
      if (!last) return;
      turnBy((last[0] - e.clientX) * 0.5, (e.clientY - last[1]) * 0.4);
      last = [e.clientX, e.clientY];
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });
    canvas.addEventListener("dblclick", () => { [view.yaw, view.pitch] = [yaw0, pitch0]; redraw(); });
    canvas.addEventListener("keydown", (e) => {
      const by = { ArrowLeft: [6, 0], ArrowRight: [-6, 0], ArrowUp: [0, 4], ArrowDown: [0, -4] }[e.key];
      if (by) { e.preventDefault(); turnBy(...by); }
    });
    new ResizeObserver(redraw).observe(canvas);
  }
  const buttons = [...stage.querySelectorAll(".steps button")];
  buttons.forEach((button, t) => button.addEventListener("click", () => {
    view.turn = t;
    buttons.forEach((other, k) => other.setAttribute("aria-pressed", String(k === t)));
    canvases[0][2].textContent = caption(t);
    redraw();
  }));
  function caption(t) {
    const count = {};
    for (const cell of data.turns[t]) count[cell[4]] = (count[cell[4]] || 0) + 1;
    const differs = ["missing", "wrong", "extra"].filter((m) => count[m]).map((m) => `, ${count[m]} ${m}`);
    const blocks = data.turns[t].length - (count.missing || 0);
    return `${t ? `after turn ${t}` : "at the start"}: ${blocks} blocks${differs.join("") || ", all as wanted"}`;
  }
  document.getElementById("marks").addEventListener("change", (e) => { view.marks = e.target.checked; redraw(); });
  const eyes = document.getElementById("eyes");
  if (eyes) eyes.addEventListener("change", () => { view.eyes = eyes.selectedIndex - 1; redraw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  stage.querySelector(".turning").hidden = false;
  document.getElementById("hint").textContent = "drag to turn, double-click to reset";
  redraw();
})();
