//! The factors of a portrait: the fields of [`Face`], their names and kinds, and their way to and from label numbers.
//!
//! One table makes the struct, the [`FACTORS`] list and the conversions, so they can't drift apart. How factors are
//! distributed is `sample.rs`; what they look like is the rest of the folder.

/// What values a factor takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FactorKind {
    /// One of these; the label is the index, 0 to len − 1, as a number.
    Class(&'static [&'static str]),
    /// Any number from the first to the second, both included.
    Range(f32, f32),
}

/// One factor of variation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factor {
    /// The name of the field of [`Face`].
    pub name: &'static str,
    /// The values it takes.
    pub kind: FactorKind,
}

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)] // a variant's meaning is its label
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every variant, in label order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// The variants' names, in label order.
            pub const NAMES: &'static [&'static str] = &[$($label),+];
        }
    )+};
}

classes! {
    /// How the hair is worn.
    HairStyle {
        Bald = "bald", Buzz = "buzz cut", Crop = "short crop", SidePart = "side part", Quiff = "quiff", Curls = "short curls",
        Afro = "afro", Bob = "bob", Straight = "long straight", Wavy = "long wavy", Fringe = "fringe", Bun = "bun",
        Ponytail = "ponytail", Locs = "locs", Receding = "receding",
    }
    /// The colour of hair, brows and beard.
    HairColour {
        Black = "black", DarkBrown = "dark brown", Brown = "brown", Chestnut = "chestnut", Red = "red", DarkBlond = "dark blond",
        Blond = "blond", Grey = "grey", White = "white", Dyed = "dyed",
    }
    /// The colour of the irises.
    EyeColour { DarkBrown = "dark brown", Brown = "brown", Hazel = "hazel", Green = "green", Blue = "blue", Grey = "grey" }
    /// Facial hair.
    Beard {
        None = "none", Stubble = "stubble", Moustache = "moustache", Goatee = "goatee", Circle = "circle beard",
        Short = "short beard", Full = "full beard",
    }
    /// Eyewear.
    Glasses {
        None = "none", Round = "round wire", Square = "square", Browline = "browline", Rimless = "rimless",
        Sunglasses = "sunglasses",
    }
    /// Headwear.
    Hat { None = "none", Beanie = "beanie", Cap = "cap", Brimmed = "brimmed hat", Headband = "headband", Scarf = "headscarf" }
    /// Upper clothing.
    Clothes { Crew = "crew neck", VNeck = "v-neck", Shirt = "shirt", Suit = "suit", RollNeck = "roll neck", Wide = "wide neck" }
    /// What is behind the person, out of focus.
    Backdrop {
        Studio = "studio", Gradient = "gradient", Bokeh = "bokeh", Outdoors = "outdoors", Indoors = "indoors", Foliage = "foliage",
    }
    /// Jewellery at the ears.
    Earrings { None = "none", Stud = "stud", Hoop = "hoop", Drop = "drop" }
}

macro_rules! factors {
    (
        ranges { $($(#[$rdoc:meta])* $range:ident $lo:literal $hi:literal,)+ }
        classes { $($(#[$cdoc:meta])* $class:ident $type:ident,)+ }
    ) => {
        /// One portrait, described: every field is an independent factor, `grain` picks the fine texture.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Face {
            $($(#[$rdoc])* pub $range: f32,)+
            $($(#[$cdoc])* pub $class: $type,)+
            /// Which strands, pores and background shapes the noise draws; not a factor.
            pub grain: u32,
        }

        /// Every factor, in the order of [`Face::labels`]: ranges first, then classes.
        pub const FACTORS: [Factor; COUNT] = [
            $(Factor { name: stringify!($range), kind: FactorKind::Range($lo, $hi) },)+
            $(Factor { name: stringify!($class), kind: FactorKind::Class($type::NAMES) },)+
        ];

        const COUNT: usize = [$(stringify!($range),)+ $(stringify!($class),)+].len();

        impl Default for Face {
            /// The middle of every range and the first of every class.
            fn default() -> Face {
                Face { $($range: ($lo + $hi) / 2.0,)+ $($class: $type::ALL[0],)+ grain: 0 }
            }
        }

        impl Face {
            /// The factors as numbers, in the order of [`FACTORS`]: the value of a range, the index of a class.
            pub fn labels(&self) -> [f32; COUNT] {
                [$(self.$range,)+ $(self.$class as usize as f32,)+]
            }

            /// The face of these labels. Values outside a factor's range move to its nearest end, what is not a number
            /// to its low end, so any array gives a face.
            pub fn from_labels(labels: &[f32; COUNT], grain: u32) -> Face {
                let mut label = labels.iter();
                let mut next = |lo: f32, hi: f32| label.next().map_or(lo, |v| if v.is_nan() { lo } else { v.clamp(lo, hi) });
                Face {
                    $($range: next($lo, $hi),)+
                    $($class: $type::ALL[next(0.0, ($type::ALL.len() - 1) as f32).round() as usize],)+
                    grain,
                }
            }
        }
    };
}

factors! {
    ranges {
        /// Melanin: 0 the lightest human skin, 1 the darkest.
        skin_tone 0.0 1.0,
        /// Skin undertone: −1 rosy, 1 golden.
        undertone -1.0 1.0,
        /// 0 about twenty years, 1 about eighty: folds, wrinkles, bags.
        age 0.0 1.0,
        /// Freckles and mottling.
        freckles 0.0 1.0,
        /// Narrow to wide head.
        head_width -1.0 1.0,
        /// Tapering to square jaw.
        jaw -1.0 1.0,
        /// Short and soft to long and strong chin.
        chin -1.0 1.0,
        /// Gaunt to full cheeks.
        cheeks -1.0 1.0,
        /// Dark to light within the hair colour (and the hue of dyed hair).
        hair_shade -1.0 1.0,
        /// Flat to voluminous hair.
        hair_volume -1.0 1.0,
        /// Where the hair parts, left to right.
        parting -1.0 1.0,
        /// Thin to bushy brows.
        brow_weight -1.0 1.0,
        /// Brows raised outside to raised inside.
        brow_angle -1.0 1.0,
        /// Small to large eyes.
        eye_size -1.0 1.0,
        /// Close to wide-set eyes.
        eye_spacing -1.0 1.0,
        /// Outer corners low to high.
        eye_tilt -1.0 1.0,
        /// Narrowed to wide open eyes.
        eye_open -1.0 1.0,
        /// Looking left to right.
        gaze_x -1.0 1.0,
        /// Looking down to up.
        gaze_y -1.0 1.0,
        /// Short to long nose.
        nose_length -1.0 1.0,
        /// Narrow to wide nose.
        nose_width -1.0 1.0,
        /// Narrow to wide mouth.
        mouth_width -1.0 1.0,
        /// Thin to full lips.
        lip_fullness -1.0 1.0,
        /// Frown to smile.
        smile -1.0 1.0,
        /// Closed to open mouth; teeth show.
        mouth_open 0.0 1.0,
        /// Size of the ears.
        ear_size -1.0 1.0,
        /// Bare to fully coloured lips.
        lipstick 0.0 1.0,
        /// Bare to strongly made-up eyes.
        eye_makeup 0.0 1.0,
        /// Hue of hat and frames, in turns.
        accent_hue 0.0 1.0,
        /// Hue of the clothes, in turns.
        clothes_hue 0.0 1.0,
        /// Dark to light clothes.
        clothes_value 0.0 1.0,
        /// Hue of the background, in turns.
        backdrop_hue 0.0 1.0,
        /// Dark to light background.
        backdrop_value 0.0 1.0,
        /// Key light from the left to from the right.
        light_side -1.0 1.0,
        /// Key light from the level of the eyes to from above.
        light_height 0.0 1.0,
        /// Cool to warm key light.
        light_warmth -1.0 1.0,
        /// Flat to dramatic light.
        light_contrast 0.0 1.0,
        /// Head turned left to right.
        yaw -1.0 1.0,
        /// Head bent down to up.
        pitch -1.0 1.0,
        /// Head tilted left to right.
        roll -1.0 1.0,
        /// Far to near.
        zoom -1.0 1.0,
        /// Left to right in the picture.
        shift_x -1.0 1.0,
        /// Low to high in the picture.
        shift_y -1.0 1.0,
    }
    classes {
        /// How the hair is worn.
        hair HairStyle,
        /// The colour of hair, brows and beard.
        hair_colour HairColour,
        /// The colour of the irises.
        eye_colour EyeColour,
        /// Facial hair.
        beard Beard,
        /// Eyewear.
        glasses Glasses,
        /// Headwear.
        hat Hat,
        /// Upper clothing.
        clothes Clothes,
        /// What is behind the person.
        backdrop Backdrop,
        /// Jewellery at the ears.
        earrings Earrings,
    }
}

impl Face {
    /// This face with factor `index` of [`FACTORS`] set to `value` as [`Face::from_labels`] takes it; unchanged when there
    /// is no such factor.
    pub fn with(&self, index: usize, value: f32) -> Face {
        let mut labels = self.labels();
        if let Some(label) = labels.get_mut(index) {
            *label = value;
        }
        Face::from_labels(&labels, self.grain)
    }
}
