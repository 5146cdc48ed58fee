// Draws the canonical head as a wireframe in a pose. The mesh is that of `pcavs pose preview`.

const CM = 21.5; // Centimetres that the picture shows.
const CENTRE = [0.5, 0.5];
const MIDDLE = [0, 0.6, -3]; // What is rotated about lies between the ears.
let mesh = null;

/** Loads the mesh. */
export async function loadHead() {
  const answer = await fetch(new URL("mesh.json", import.meta.url));
  mesh = await answer.json();
}

/** Returns the rotation of yaw, pitch and roll in degrees, row by row, as face/pose.py defines it. */
export function rotation({ yaw = 0, pitch = 0, roll = 0 }) {
  const [a, b, c] = [yaw, pitch, roll].map((angle) => (angle * Math.PI) / 180);
  const around = {
    yaw: [[Math.cos(a), 0, -Math.sin(a)], [0, 1, 0], [Math.sin(a), 0, Math.cos(a)]],
    pitch: [[1, 0, 0], [0, Math.cos(b), Math.sin(b)], [0, -Math.sin(b), Math.cos(b)]],
    roll: [[Math.cos(c), -Math.sin(c), 0], [Math.sin(c), Math.cos(c), 0], [0, 0, 1]],
  };
  return product(product(around.yaw, around.pitch), around.roll);
}

function product(first, second) {
  return first.map((row) => second[0].map((_, column) => row.reduce((sum, value, n) => sum + value * second[n][column], 0)));
}

/** Draws the head on a canvas, in the colours that the style sheet gives it. */
export function drawHead(canvas, pose) {
  if (!mesh) return;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const [light, dark] = ["--face-light", "--face-dark"].map((name) => style.getPropertyValue(name).match(/[\d.]+/g).map(Number));
  const { points, depths } = place(canvas, pose);
  context.clearRect(0, 0, canvas.width, canvas.height);
  const order = mesh.triangles
    .map((corners) => [corners, depths[corners[0]] + depths[corners[1]] + depths[corners[2]]])
    .sort((first, second) => second[1] - first[1]);
  context.lineJoin = "round";
  context.lineWidth = Math.max(0.5, canvas.width / 700);
  context.strokeStyle = style.getPropertyValue("--wire");
  for (const [corners] of order) {
    context.beginPath();
    for (const n of corners) context.lineTo(points[n][0], points[n][1]);
    context.closePath();
    const share = facing(corners, points, depths);
    context.fillStyle = `rgb(${dark.slice(0, 3).map((value, n) => Math.round(value + share * (light[n] - value))).join(" ")})`;
    context.fill();
    context.stroke();
  }
}

/** Returns where the vertices are on the canvas, and their depths in the same unit. */
function place(canvas, pose) {
  const turn = rotation(pose);
  const scale = (canvas.width / CM) * (pose.scale ?? 1);
  const shift = [(pose.x ?? 0) * 14 * scale, (pose.y ?? 0) * 14 * scale];
  const points = [];
  const depths = [];
  for (const vertex of mesh.vertices) {
    const [x, y, z] = turn.map((row) => row.reduce((sum, value, n) => sum + value * (vertex[n] - MIDDLE[n]), 0));
    points.push([x * scale + CENTRE[0] * canvas.width + shift[0], y * scale + CENTRE[1] * canvas.height + shift[1]]);
    depths.push(z * scale);
  }
  return { points, depths };
}

/** Returns how much a triangle is lit from the upper left front, 0 to 1. */
function facing([a, b, c], points, depths) {
  const [ux, uy, uz] = [points[b][0] - points[a][0], points[b][1] - points[a][1], depths[b] - depths[a]];
  const [vx, vy, vz] = [points[c][0] - points[a][0], points[c][1] - points[a][1], depths[c] - depths[a]];
  const normal = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
  const length = Math.hypot(...normal);
  if (!length) return 0;
  const sign = normal[2] > 0 ? -1 : 1; // Towards the viewer, whose z is negative.
  const [x, y, z] = normal.map((value) => (sign * value) / length);
  return Math.min(1, Math.max(0, -0.35 * x - 0.5 * y - 0.79 * z));
}
