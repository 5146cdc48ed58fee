"""The programs that the renderer runs on the device, in GLSL 3.30."""

VERTEX = """
#version 330
uniform mat4 camera;
uniform mat4 bones[5];
in vec3 position;
in vec3 normal;
in vec2 uv;
in vec4 weights;
in vec3 surface;
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

_FRAGMENT = """
#version 330
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
    // Gamma 2 instead of 2.2: a square and a root cost a tenth of two powers on a CPU.
    vec4 paint = texture(picture, texel);
    CUT
    vec3 albedo = paint.rgb * paint.rgb;
    vec3 towards = normalize(eye - place);
    vec3 n = normalize(facing);
    if (dot(n, towards) < 0.0) n = -n;
    vec3 diffuse = mix(ground, sky, 0.5 + 0.5 * n.y);
    vec3 shine = vec3(0.0);
    // Red light travels furthest under skin, so the terminator is wider and warmer there.
    vec3 wrap = skin.y * vec3(0.28, 0.14, 0.10);
    float hardness = mix(12.0, 220.0, skin.x * skin.x);
    float edge = 1.0 - max(dot(n, towards), 0.0);
    edge *= edge * edge * edge;
    for (int i = 0; i < 3; i++) {
        float facing_light = dot(n, light_directions[i]);
        diffuse += light_colours[i] * max((vec3(facing_light) + wrap) / (1.0 + wrap), 0.0);
        vec3 between = normalize(light_directions[i] + towards);
        // A narrow highlight's power of a cosine, as the exponential that it is close to: cheaper on a CPU.
        float glint = exp2(hardness * 1.4427 * (dot(n, between) - 1.0)) * (hardness + 8.0) / 25.0;
        shine += light_colours[i] * glint * max(facing_light, 0.0);
    }
    float fresnel = 0.03 + 0.4 * edge;
    vec3 linear = (albedo * diffuse + shine * fresnel * skin.x * 0.6) * skin.z * balance;
    // A soft shoulder keeps highlights from clipping.
    linear = linear * (1.0 + linear * 0.15) / (1.0 + linear * 0.35);
    colour = sqrt(linear);
}
"""

OPAQUE_FRAGMENT = _FRAGMENT.replace("CUT", "")
"""For pictures without alpha. A fragment that may be discarded is shaded before its depth is tested, hidden or not:
a ninth of a frame's price."""
CUT_FRAGMENT = _FRAGMENT.replace("CUT", "if (paint.a < 0.5) discard;")
"""Locks of hair end where their picture is transparent; the larger drawing's averaging softens the edge."""

NUMBER_FRAGMENT = """
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

BACKDROP_VERTEX = """
#version 330
in vec2 corner;
out vec2 texel;
void main() {
    texel = vec2(0.5 + 0.5 * corner.x, 0.5 - 0.5 * corner.y);
    // Just before the far plane, and drawn last: hidden pixels cost nothing.
    gl_Position = vec4(corner, 0.9999, 1.0);
}
"""

BACKDROP_FRAGMENT = """
#version 330
uniform sampler2D picture;
in vec2 texel;
out vec3 colour;
void main() { colour = texture(picture, texel).rgb; }
"""
