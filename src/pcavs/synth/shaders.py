"""The shader programs of `pcavs.synth.render`, in GLSL 3.30. Their constants were chosen by eye."""

from typing import Final

VERTEX: Final = """
#version 330
uniform mat4 camera;
uniform mat4 bones[5];
in vec3 position;
in vec3 normal;
in vec2 uv;
in vec4 weights;  // of bones 1 to 4; bone 0 has the rest
in vec3 surface;  // gloss, subsurface scattering, received light
out vec3 place;
out vec3 facing;
out vec2 texel;
out vec3 skin;
void main() {
    float rest = 1.0 - dot(weights, vec4(1.0));
    mat4 bone = rest * bones[0] + weights.x * bones[1] + weights.y * bones[2] + weights.z * bones[3]
        + weights.w * bones[4];
    vec4 world = bone * vec4(position, 1.0);
    place = world.xyz;
    facing = mat3(bone) * normal;
    texel = uv;
    skin = surface;
    gl_Position = camera * world;
}
"""

_FRAGMENT: Final = """
#version 330
// How far light reaches around the edge of the lit side, for red, green and blue: under skin, red light travels
// furthest.
const vec3 SCATTERING = vec3(0.28, 0.14, 0.10);
// Exponent of highlights at gloss 0 and 1.
const float DULL = 12.0;
const float SHARP = 220.0;
// Reflection when looked at from the front, and its increase towards the edge (Schlick's approximation, power 4).
const float REFLECTION = 0.03;
const float EDGE_REFLECTION = 0.4;
const float HIGHLIGHT = 0.6;
// Tone curve x (1 + SHOULDER_UP x) / (1 + SHOULDER_DOWN x): keeps highlights from clipping.
const float SHOULDER_UP = 0.15;
const float SHOULDER_DOWN = 0.35;
uniform sampler2D picture;
uniform vec3 light_directions[3];
uniform vec3 light_colours[3];
uniform vec3 sky;
uniform vec3 ground;
uniform vec3 balance;
uniform vec3 eye;
in vec3 place;
in vec3 facing;
in vec2 texel;
in vec3 skin;
out vec3 colour;
void main() {
    // Gamma 2 instead of 2.2: on a CPU a square and a root take a tenth of the time of two powers.
    vec4 paint = texture(picture, texel);
    CUT
    vec3 albedo = paint.rgb * paint.rgb;
    vec3 towards = normalize(eye - place);
    vec3 n = normalize(facing);
    if (dot(n, towards) < 0.0) n = -n;
    vec3 diffuse = mix(ground, sky, 0.5 + 0.5 * n.y);
    vec3 shine = vec3(0.0);
    vec3 wrap = skin.y * SCATTERING;
    float hardness = mix(DULL, SHARP, skin.x * skin.x);
    float edge = 1.0 - max(dot(n, towards), 0.0);
    edge *= edge * edge * edge;
    for (int i = 0; i < 3; i++) {
        float facing_light = dot(n, light_directions[i]);
        diffuse += light_colours[i] * max((vec3(facing_light) + wrap) / (1.0 + wrap), 0.0);
        vec3 between = normalize(light_directions[i] + towards);
        // Blinn-Phong: cos(x)^h is replaced by exp(h (cos(x) - 1)), which is close and faster on a CPU. 1.4427 is
        // 1 / ln 2, and (h + 8) / 25 keeps the energy of the highlight constant (h + 8 over 8 pi).
        float glint = exp2(hardness * 1.4427 * (dot(n, between) - 1.0)) * (hardness + 8.0) / 25.0;
        shine += light_colours[i] * glint * max(facing_light, 0.0);
    }
    float fresnel = REFLECTION + EDGE_REFLECTION * edge;
    vec3 linear = (albedo * diffuse + shine * fresnel * skin.x * HIGHLIGHT) * skin.z * balance;
    linear = linear * (1.0 + linear * SHOULDER_UP) / (1.0 + linear * SHOULDER_DOWN);
    colour = sqrt(linear);
}
"""

OPAQUE_FRAGMENT: Final = _FRAGMENT.replace("CUT", "")
"""For textures without alpha. A shader that can discard a fragment runs before the depth test, for hidden fragments
too, which takes a ninth more time for a frame."""

CUT_FRAGMENT: Final = _FRAGMENT.replace("CUT", "if (paint.a < 0.5) discard;")
"""For textures with alpha: locks of hair end where it falls below one half; supersampling softens the edge."""

NUMBER_FRAGMENT: Final = """
#version 330
uniform sampler2D picture;
uniform int first;
in vec3 place;
in vec3 facing;
in vec2 texel;
in vec3 skin;
out vec4 colour;
void main() {
    if (texture(picture, texel).a < 0.5) discard;
    // 0 is the background.
    int number = first + gl_PrimitiveID + 1;
    colour = vec4(number & 255, (number >> 8) & 255, (number >> 16) & 255, 255) / 255.0;
}
"""
"""Colours each triangle by its number, 24 bits in red, green and blue."""

BACKDROP_VERTEX: Final = """
#version 330
in vec2 corner;
out vec2 texel;
void main() {
    texel = vec2(0.5 + 0.5 * corner.x, 0.5 - 0.5 * corner.y);
    // Just before the far plane and drawn last, so that hidden pixels are not shaded.
    gl_Position = vec4(corner, 0.9999, 1.0);
}
"""

BACKDROP_FRAGMENT: Final = """
#version 330
uniform sampler2D picture;
in vec2 texel;
out vec3 colour;
void main() { colour = texture(picture, texel).rgb; }
"""
