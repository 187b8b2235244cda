/* Converting, resizing, cropping and flipping of a frame, in one pass.
 *
 * The arithmetic of resizing is that of OpenCV's INTER_LINEAR for 8 bits
 * (imgproc's resize): source columns are mixed with weights of 11 bits,
 * shifted by 4 bits, and rows are mixed with the upper 16 bits of the
 * products. That of colours is swscale's on x86: Y, U and V with three bits
 * more, less an offset, times a factor of which the upper 16 bits are taken,
 * and the nearest U and V. So the pixels are theirs, of which fast_resize.py
 * and yuv_frame.py make sure. What they do in several calls on the whole frame
 * is done here for the pixels of the crop.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

/* A decoded frame: pixels in BGR, or 4:2:0 planes and how to convert them. */
typedef struct {
    Py_ssize_t width, height;
    int is_yuv;
    const uint8_t *planes[3]; /* Y, U, V; or BGR alone */
    Py_ssize_t strides[3];    /* of a row in bytes */
    int16_t y_offset, y_factor, u_to_blue, u_to_green, v_to_green, v_to_red;
} Frame;

/* A crop of a resized frame. */
typedef struct {
    const int32_t *columns;  /* first source column of each column */
    const int16_t *column_weights; /* of that column and the next */
    const int32_t *rows;     /* both source rows of each row */
    const int16_t *row_weights;
    Py_ssize_t width, height;
    uint8_t *planes;         /* red, green, blue */
    /* Pixels are 1 byte apart, or 3, and then the planes 1 or -1. */
    Py_ssize_t plane_stride, row_stride, pixel_stride;
    int flip;
} Crop;

/* Memory for rows, and what mix_columns needs, the same for all rows. */
typedef struct {
    Py_ssize_t first, count; /* source columns that the crop needs */
    Py_ssize_t width;        /* of the crop, made a multiple of 4 */
    __m256i *weights; /* of two columns each: 0 and 2, 1 and 3, ... */
    int32_t *offsets; /* of columns in `source` */
    uint8_t *source;  /* `count` pixels of a source row, (b g r 0) */
    int16_t *mixed[2]; /* two rows of `width` pixels, (b g r 0) */
} Scratch;

/* Pixels that are converted at once. */
#define STEP 32

static int
get_scratch(const Crop *crop, Scratch *scratch)
{
    Py_ssize_t width = (crop->width + 3) & ~(Py_ssize_t)3;
    int32_t first = crop->columns[0] & ~1; /* U and V are for two columns */
    Py_ssize_t count = crop->columns[crop->width - 1] + 2 - first;
    size_t source = 4 * (count + STEP), mixed = 4 * width * sizeof(int16_t);
    char *memory = _mm_malloc(20 * width + source + 2 * mixed, 32);
    if (!memory)
        return 0;
    *scratch = (Scratch){
        .first = first, .count = count, .width = width,
        .weights = (__m256i *)memory,
        .mixed = {(int16_t *)(memory + 16 * width),
                  (int16_t *)(memory + 16 * width + mixed)},
        .offsets = (int32_t *)(memory + 16 * width + 2 * mixed),
        .source = (uint8_t *)(memory + 20 * width + 2 * mixed),
    };
    for (Py_ssize_t x = 0; x < width; x++) {
        /* 0 1 2 3 -> 0 2 1 3 */
        Py_ssize_t place = x % 4 == 1 ? x + 1 : x % 4 == 2 ? x - 1 : x;
        int32_t weights = 0;
        scratch->offsets[x] = 0;
        if (x < crop->width) {
            memcpy(&weights, crop->column_weights + 2 * x, 4);
            scratch->offsets[x] = 4 * (crop->columns[x] - first);
        }
        _mm_store_si128((__m128i *)memory + place, _mm_set1_epi32(weights));
    }
    return 1;
}

AVX2 static inline __m256i
times(__m256i values, int16_t factor)
{
    return _mm256_mulhi_epi16(values, _mm256_set1_epi16(factor));
}

/* Less than 0 and more than 255 are cut off; pixels 0 1 2 3 ... to
 * (b g, b g, ...) or (r 0, r 0, ...), 8 in each half. */
AVX2 static inline __m256i
pair(__m256i one, __m256i two)
{
    const __m256i mixed = _mm256_setr_epi8(
        0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15,
        0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    return _mm256_shuffle_epi8(_mm256_packus_epi16(one, two), mixed);
}

AVX2 static inline void
store_halves(uint8_t *low, uint8_t *high, __m256i pixels)
{
    _mm_storeu_si128((__m128i *)low, _mm256_castsi256_si128(pixels));
    _mm_storeu_si128((__m128i *)high, _mm256_extracti128_si256(pixels, 1));
}

/* Convert STEP pixels to (b g r 0), in swscale's arithmetic. */
AVX2 static inline void
convert_step(const Frame *frame, const uint8_t *y, const uint8_t *u,
             const uint8_t *v, uint8_t *out)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i middle = _mm256_set1_epi16(8 * 128);
    const __m256i black = _mm256_set1_epi16(frame->y_offset);
    __m256i ys = _mm256_loadu_si256((const __m256i *)y);
    __m256i us = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)u));
    __m256i vs = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)v));
    us = _mm256_sub_epi16(_mm256_slli_epi16(us, 3), middle);
    vs = _mm256_sub_epi16(_mm256_slli_epi16(vs, 3), middle);
    __m256i blue = times(us, frame->u_to_blue);
    __m256i green = _mm256_adds_epi16(times(us, frame->u_to_green),
                                      times(vs, frame->v_to_green));
    __m256i red = times(vs, frame->v_to_red);
    /* Each of U and V is for an even pixel and the odd one behind it. */
    __m256i even = _mm256_and_si256(ys, _mm256_set1_epi16(255));
    __m256i odd = _mm256_srli_epi16(ys, 8);
    even = times(_mm256_sub_epi16(_mm256_slli_epi16(even, 3), black),
                 frame->y_factor);
    odd = times(_mm256_sub_epi16(_mm256_slli_epi16(odd, 3), black),
                frame->y_factor);
    __m256i bg_even = pair(_mm256_adds_epi16(even, blue),
                           _mm256_adds_epi16(even, green));
    __m256i bg_odd = pair(_mm256_adds_epi16(odd, blue),
                          _mm256_adds_epi16(odd, green));
    __m256i r_even = pair(_mm256_adds_epi16(even, red), zero);
    __m256i r_odd = pair(_mm256_adds_epi16(odd, red), zero);
    __m256i evens = _mm256_unpacklo_epi16(bg_even, r_even);
    __m256i odds = _mm256_unpacklo_epi16(bg_odd, r_odd);
    store_halves(out, out + 64, _mm256_unpacklo_epi32(evens, odds));
    store_halves(out + 16, out + 80, _mm256_unpackhi_epi32(evens, odds));
    evens = _mm256_unpackhi_epi16(bg_even, r_even);
    odds = _mm256_unpackhi_epi16(bg_odd, r_odd);
    store_halves(out + 32, out + 96, _mm256_unpacklo_epi32(evens, odds));
    store_halves(out + 48, out + 112, _mm256_unpackhi_epi32(evens, odds));
}

/* Put STEP pixels of BGR apart, (b g r 0). */
AVX2 static inline void
spread_step(const uint8_t *bgr, uint8_t *out)
{
    const __m128i apart = _mm_setr_epi8(4, 5, 6, -1, 7, 8, 9, -1,
                                        10, 11, 12, -1, 13, 14, 15, -1);
    /* The four bytes before the last twelve are in the frame as well. */
    __m128i first = _mm_slli_si128(_mm_loadu_si128((const __m128i *)bgr), 4);
    _mm_storeu_si128((__m128i *)out, _mm_shuffle_epi8(first, apart));
    for (int x = 4; x < STEP; x += 4) {
        const __m128i *from = (const __m128i *)(bgr + 3 * x - 4);
        _mm_storeu_si128((__m128i *)(out + 4 * x),
                         _mm_shuffle_epi8(_mm_loadu_si128(from), apart));
    }
}

/* The pixels of a source row that the crop needs, to scratch->source. */
AVX2 static void
get_source(const Frame *frame, Py_ssize_t number, const Scratch *scratch)
{
    const uint8_t *rows[3];
    Py_ssize_t x = 0, first = scratch->first, count = scratch->count;
    uint8_t *out = scratch->source;
    if (count > frame->width - first)
        count = frame->width - first;
    Py_ssize_t rest = count % STEP;
    uint8_t last[3 * STEP] = {0}; /* so that none behind the frame is read */
    if (frame->is_yuv) {
        for (int p = 0; p < 3; p++)
            rows[p] = frame->planes[p] + (p ? first / 2 : first)
                    + (p ? number / 2 : number) * frame->strides[p];
        for (; x + STEP <= count; x += STEP)
            convert_step(frame, rows[0] + x, rows[1] + x / 2, rows[2] + x / 2,
                         out + 4 * x);
        if (rest) {
            memcpy(last, rows[0] + x, rest);
            memcpy(last + STEP, rows[1] + x / 2, (rest + 1) / 2);
            memcpy(last + 2 * STEP, rows[2] + x / 2, (rest + 1) / 2);
            convert_step(frame, last, last + STEP, last + 2 * STEP,
                         out + 4 * x);
        }
    } else {
        const uint8_t *row = frame->planes[0] + 3 * first
                           + number * frame->strides[0];
        for (; x + STEP <= count; x += STEP)
            spread_step(row + 3 * x, out + 4 * x);
        if (rest) {
            memcpy(last, row + 3 * x, 3 * rest);
            spread_step(last, out + 4 * x);
        }
    }
}

/* Two pixels of a row, mixed: (b g r 0, b g r 0) int32, of 15 bits. */
AVX2 static inline __m256i
mix_two(const uint8_t *one, const uint8_t *two, const __m256i *weights)
{
    /* b0 g0 r0 0 b1 g1 r1 0 -> b0 b1 g0 g1 r0 r1 0 0, of both pixels */
    const __m128i pairs = _mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7,
                                        8, 12, 9, 13, 10, 14, 11, 15);
    __m128i bytes = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)one),
                                       _mm_loadl_epi64((const __m128i *)two));
    __m256i values = _mm256_cvtepu8_epi16(_mm_shuffle_epi8(bytes, pairs));
    return _mm256_srli_epi32(_mm256_madd_epi16(values, *weights), 4);
}

/* Mix the columns of a source row. */
AVX2 static void
mix_columns(const Frame *frame, Py_ssize_t number, const Scratch *scratch,
            int16_t *out)
{
    get_source(frame, number, scratch);
    const uint8_t *row = scratch->source;
    const __m256i *weights = scratch->weights;
    for (Py_ssize_t x = 0; x < scratch->width; x += 4, weights += 2) {
        const int32_t *at = scratch->offsets + x;
        /* Packing swaps the middle two of four. */
        __m256i mixed = _mm256_packs_epi32(
            mix_two(row + at[0], row + at[2], weights),
            mix_two(row + at[1], row + at[3], weights + 1));
        _mm256_store_si256((__m256i *)(out + 4 * x), mixed);
    }
}

/* Write four pixels, (b g r 0) bytes, to column `to` and after. */
AVX2 static inline void
write_four(const Crop *crop, uint8_t *row, Py_ssize_t to, __m128i pixels)
{
    if (crop->pixel_stride == 1) {
        /* -> b x 4, g x 4, r x 4, 0 x 4 */
        const __m128i apart = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13,
                                            2, 6, 10, 14, 3, 7, 11, 15);
        pixels = _mm_shuffle_epi8(pixels, apart);
        int32_t blues = _mm_extract_epi32(pixels, 0);
        int32_t greens = _mm_extract_epi32(pixels, 1);
        int32_t reds = _mm_extract_epi32(pixels, 2);
        memcpy(row + to, &reds, 4);
        memcpy(row + crop->plane_stride + to, &greens, 4);
        memcpy(row + 2 * crop->plane_stride + to, &blues, 4);
    } else {
        const __m128i rgb = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9,
                                          8, 14, 13, 12, -1, -1, -1, -1);
        const __m128i bgr = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9,
                                          10, 12, 13, 14, -1, -1, -1, -1);
        int is_bgr = crop->plane_stride < 0;
        uint8_t *place = row + 3 * to - 2 * is_bgr;
        pixels = _mm_shuffle_epi8(pixels, is_bgr ? bgr : rgb);
        int32_t last = _mm_extract_epi32(pixels, 2);
        _mm_storel_epi64((__m128i *)place, pixels);
        memcpy(place + 8, &last, 4);
    }
}

/* Mix two source rows into row y of the planes. */
AVX2 static void
mix_rows(const Crop *crop, Py_ssize_t y, const int16_t *first,
         const int16_t *second)
{
    const int16_t *weights = crop->row_weights + 2 * y;
    const __m256i weight_1 = _mm256_set1_epi16(weights[0]);
    const __m256i weight_2 = _mm256_set1_epi16(weights[1]);
    const __m256i half = _mm256_set1_epi16(2);
    const int reverse = _MM_SHUFFLE(0, 1, 2, 3);
    uint8_t *row = crop->planes + y * crop->row_stride;
    for (Py_ssize_t x = 0; x < crop->width; x += 4) {
        __m256i one = _mm256_load_si256((const __m256i *)(first + 4 * x));
        __m256i two = _mm256_load_si256((const __m256i *)(second + 4 * x));
        __m256i sum = _mm256_add_epi16(_mm256_mulhi_epi16(one, weight_1),
                                       _mm256_mulhi_epi16(two, weight_2));
        sum = _mm256_srai_epi16(_mm256_add_epi16(sum, half), 2);
        __m128i pixels = _mm_packus_epi16(_mm256_castsi256_si128(sum),
                                          _mm256_extracti128_si256(sum, 1));
        if (x + 4 > crop->width) {
            uint8_t few[16];
            _mm_storeu_si128((__m128i *)few, pixels);
            for (Py_ssize_t i = x; i < crop->width; i++) {
                Py_ssize_t to = crop->flip ? crop->width - 1 - i : i;
                for (int c = 0; c < 3; c++)
                    row[(2 - c) * crop->plane_stride + to * crop->pixel_stride]
                        = few[4 * (i - x) + c];
            }
        } else if (crop->flip) {
            write_four(crop, row, crop->width - 4 - x,
                       _mm_shuffle_epi32(pixels, reverse));
        } else {
            write_four(crop, row, x, pixels);
        }
    }
}

AVX2 static int
resize(const Frame *frame, const Crop *crop)
{
    Scratch scratch;
    if (!get_scratch(crop, &scratch))
        return 0;
    int16_t *first = scratch.mixed[0], *second = scratch.mixed[1];
    int32_t in_first = -1, in_second = -1; /* numbers of the source rows */
    for (Py_ssize_t y = 0; y < crop->height; y++) {
        const int32_t *rows = crop->rows + 2 * y;
        if (in_first != rows[0] && in_second == rows[0]) {
            /* The last row's second is this one's first. */
            int16_t *other = first;
            first = second;
            second = other;
            in_second = in_first;
            in_first = rows[0];
        }
        if (in_first != rows[0])
            mix_columns(frame, rows[0], &scratch, first);
        if (in_second != rows[1])
            mix_columns(frame, rows[1], &scratch, second);
        in_first = rows[0];
        in_second = rows[1];
        mix_rows(crop, y, first, second);
    }
    _mm_free(scratch.weights);
    return 1;
}

/* The arguments that are arrays. */
enum { COLUMNS, COLUMN_WEIGHTS, ROWS, ROW_WEIGHTS, PLANES, BGR, NUM_ARRAYS };

static const struct {
    const char *name, *format;
    int ndim;
} ARRAYS[NUM_ARRAYS] = {
    {"columns", "i", 1}, {"column_weights", "h", 2}, {"rows", "i", 2},
    {"row_weights", "h", 2}, {"planes", "B", 3}, {"frame", "B", 3},
};

static int
get_array(PyObject *object, int which, Py_buffer *view)
{
    int flags = which == PLANES ? PyBUF_RECORDS
              : which == BGR ? PyBUF_RECORDS_RO
              : PyBUF_C_CONTIGUOUS | PyBUF_FORMAT;
    if (PyObject_GetBuffer(object, view, flags))
        return 0;
    if (view->ndim == ARRAYS[which].ndim
        && !strcmp(view->format, ARRAYS[which].format))
        return 1;
    PyErr_Format(PyExc_TypeError, "%s must have %d dimensions of type %s",
                 ARRAYS[which].name, ARRAYS[which].ndim, ARRAYS[which].format);
    PyBuffer_Release(view);
    return 0;
}

/* Whether pixels are `stride` apart; a single one may have any. */
static int
pixels_are_apart(const Py_buffer *view, int dimension, Py_ssize_t stride)
{
    return view->shape[dimension] == 1 || view->strides[dimension] == stride;
}

static int
do_not_fit(void)
{
    PyErr_SetString(PyExc_ValueError, "the arrays do not fit each other");
    return 0;
}

/* The frame, and how many views it holds; 0 is an error. */
static int
get_frame(PyObject *object, Py_buffer *views, Frame *frame)
{
    Py_ssize_t *strides = frame->strides;
    if (!PyTuple_Check(object)) {
        if (!get_array(object, BGR, views))
            return 0;
        frame->planes[0] = views->buf;
        frame->height = views->shape[0];
        frame->width = views->shape[1];
        strides[0] = views->strides[0];
        if (views->shape[2] == 3 && views->strides[2] == 1
            && pixels_are_apart(views, 1, 3))
            return 1;
        PyBuffer_Release(views);
        return do_not_fit();
    }
    frame->is_yuv = 1;
    if (!PyArg_ParseTuple(
            object, "(nn)(y*y*y*)(nnn)(hhhhhh)", &frame->width, &frame->height,
            views, views + 1, views + 2, strides, strides + 1, strides + 2,
            &frame->y_offset, &frame->y_factor, &frame->u_to_blue,
            &frame->u_to_green, &frame->v_to_green, &frame->v_to_red))
        return 0;
    int fits = frame->width > 0 && frame->height > 0;
    for (int p = 0; p < 3; p++) {
        Py_ssize_t width = p ? (frame->width + 1) / 2 : frame->width;
        Py_ssize_t height = p ? (frame->height + 1) / 2 : frame->height;
        frame->planes[p] = views[p].buf;
        fits = fits && strides[p] >= width
            && views[p].len >= width
            && (views[p].len - width) / strides[p] >= height - 1;
    }
    if (fits)
        return 3;
    for (int p = 0; p < 3; p++)
        PyBuffer_Release(views + p);
    return do_not_fit();
}

/* Whether the shapes of the arrays, and their order in memory, fit. */
static int
shapes_fit(const Py_buffer *views)
{
    const Py_buffer *planes = views + PLANES;
    const Py_ssize_t *shape = planes->shape;
    Py_ssize_t apart = planes->strides[0];
    return shape[0] == 3 && shape[1] && shape[2]
        && (pixels_are_apart(planes, 2, 1)
            || (pixels_are_apart(planes, 2, 3) && (apart == 1 || apart == -1)))
        && views[ROWS].shape[0] == shape[1] && views[ROWS].shape[1] == 2
        && views[ROW_WEIGHTS].shape[0] == shape[1]
        && views[ROW_WEIGHTS].shape[1] == 2
        && views[COLUMNS].shape[0] == shape[2]
        && views[COLUMN_WEIGHTS].shape[0] == shape[2]
        && views[COLUMN_WEIGHTS].shape[1] == 2;
}

/* Whether only pixels of the frame will be read. */
static int
stays_inside(const Frame *frame, const Crop *crop)
{
    int good = 1;
    for (Py_ssize_t i = 0; i < 2 * crop->height; i++)
        good &= crop->rows[i] >= 0 && crop->rows[i] < frame->height;
    int32_t last = 0; /* they ascend: get_scratch() looks at both ends */
    for (Py_ssize_t i = 0; i < crop->width; i++) {
        int32_t column = crop->columns[i];
        int has_next = column + 1 < frame->width;
        good &= column >= last && column < frame->width
             && (has_next || !crop->column_weights[2 * i + 1]);
        last = column;
    }
    return good;
}

static int
run(const Frame *frame, const Py_buffer *views, int flip)
{
    if (!shapes_fit(views))
        return do_not_fit();
    Crop crop = {
        .columns = views[COLUMNS].buf,
        .column_weights = views[COLUMN_WEIGHTS].buf,
        .rows = views[ROWS].buf,
        .row_weights = views[ROW_WEIGHTS].buf,
        .width = views[PLANES].shape[2],
        .height = views[PLANES].shape[1],
        .planes = views[PLANES].buf,
        .plane_stride = views[PLANES].strides[0],
        .row_stride = views[PLANES].strides[1],
        .pixel_stride = views[PLANES].strides[2],
        .flip = flip,
    };
    if (!stays_inside(frame, &crop)) {
        PyErr_SetString(PyExc_ValueError,
                        "rows or columns are outside of the frame");
        return 0;
    }
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = resize(frame, &crop);
    Py_END_ALLOW_THREADS
    if (!done)
        PyErr_NoMemory();
    return done;
}

static PyObject *
resize_crop(PyObject *module, PyObject *args)
{
    PyObject *source, *arrays[BGR];
    Py_buffer views[BGR + 3];
    Frame frame = {0};
    int flip, held = 0, done = 0;
    if (!PyArg_ParseTuple(args, "OOOOOOp", &source, arrays, arrays + 1,
                          arrays + 2, arrays + 3, arrays + 4, &flip))
        return NULL;
    while (held < BGR && get_array(arrays[held], held, views + held))
        held++;
    if (held == BGR) {
        int more = get_frame(source, views + held, &frame);
        held += more;
        done = more && run(&frame, views, flip);
    }
    while (held--)
        PyBuffer_Release(views + held);
    if (!done)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef METHODS[] = {
    {"resize_crop", resize_crop, METH_VARARGS,
     "resize_crop(frame, columns, column_weights, rows, row_weights, planes, "
     "flip)\n\nSee fast_resize.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_fast_resize", NULL, -1, METHODS,
};

PyMODINIT_FUNC
PyInit__fast_resize(void)
{
    if (__builtin_cpu_supports("avx2"))
        return PyModule_Create(&MODULE);
    PyErr_SetString(PyExc_ImportError, "this processor has no AVX2");
    return NULL;
}

#else

PyMODINIT_FUNC
PyInit__fast_resize(void)
{
    PyErr_SetString(PyExc_ImportError, "only for x86-64");
    return NULL;
}

#endif
