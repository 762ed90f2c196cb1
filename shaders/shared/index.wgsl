// Numbering of workgroups: a launch of more than 65,535 workgroups is folded into rows of 65,535 (`kernels::fold`).

const FOLD = 65535u;

fn folded(group: vec3<u32>) -> u32 {
    return group.y * FOLD + group.x;
}
