"""Writes the mesh of the wireframe head that the service's page draws."""

import json
from pathlib import Path

import pcavs.serve
from pcavs.face.pose import canonical_face

MESH = Path(pcavs.serve.__file__).with_name("page") / "mesh.json"


def mesh_text() -> str:
    """Returns the canonical head as JSON: vertices in centimetres, rounded to 0.1 mm, and triangles."""
    face = canonical_face()
    vertices = [[round(float(value), 2) for value in vertex] for vertex in face.vertices_cm]
    mesh = {"vertices": vertices, "triangles": face.triangles.tolist()}
    return json.dumps(mesh, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    MESH.write_text(mesh_text())
