/* Resizing, cropping and flipping of a frame into a clip, in one pass.
 *
 * The arithmetic is that of OpenCV's INTER_LINEAR for 8 bits (imgproc's
 * resize): source columns are mixed with weights of 11 bits, shifted by 4
 * bits, and rows are mixed with the upper 16 bits of the products. So the
 * pixels are OpenCV's, which fast_resize.py makes sure of. What OpenCV does in
 * three calls on the whole frame is done here for the pixels of the crop.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

/* A crop of a resized frame. */
typedef struct {
    const uint8_t *frame;    /* BGR */
    Py_ssize_t frame_width, frame_stride; /* in pixels, of a row in bytes */
    const int32_t *columns;  /* first source column of each column */
    const int16_t *column_weights; /* of that column and the next */
    const int32_t *rows;     /* both source rows of each row */
    const int16_t *row_weights;
    Py_ssize_t width, height;
    uint8_t *planes;         /* red, green, blue */
    /* Pixels are 1 byte apart, or 3, and then the planes 1. */
    Py_ssize_t plane_stride, row_stride, pixel_stride;
    int flip;
} Crop;

/* What mix_columns needs, the same for all rows. */
typedef struct {
    Py_ssize_t wide;   /* so many pixels, fours of them, are read as 8 bytes */
    int32_t *offsets;  /* in a source row, of these pixels */
    __m256i *weights;  /* of these, two pixels each: 0 and 2, 1 and 3, ... */
    int16_t *mixed[2]; /* two rows of width x (b g r x) */
} Scratch;

AVX2 static int
get_scratch(const Crop *crop, Scratch *scratch)
{
    Py_ssize_t wide = crop->width;
    while (wide && 3 * crop->columns[wide - 1] + 8 > 3 * crop->frame_width)
        wide--;
    wide -= wide % 4;
    scratch->wide = wide;
    size_t row = 4 * crop->width * sizeof(int16_t);
    char *memory = _mm_malloc(16 * wide + 2 * row + 4 * wide + 1, 32);
    if (!memory)
        return 0;
    scratch->weights = (__m256i *)memory;
    scratch->mixed[0] = (int16_t *)(memory + 16 * wide);
    scratch->mixed[1] = (int16_t *)(memory + 16 * wide + row);
    scratch->offsets = (int32_t *)(memory + 16 * wide + 2 * row);
    for (Py_ssize_t x = 0; x < wide; x++) {
        int32_t weights;
        memcpy(&weights, crop->column_weights + 2 * x, 4);
        /* 0 1 2 3 -> 0 2 1 3 */
        Py_ssize_t place = x % 4 == 1 ? x + 1 : x % 4 == 2 ? x - 1 : x;
        _mm_store_si128((__m128i *)memory + place, _mm_set1_epi32(weights));
        scratch->offsets[x] = 3 * crop->columns[x];
    }
    return 1;
}

/* Two pixels of a row, mixed: (b g r x, b g r x) int32, of 15 bits. */
AVX2 static inline __m256i
mix_two(const uint8_t *one, const uint8_t *two, const __m256i *weights)
{
    /* b0 g0 r0 b1 g1 r1 . . -> b0 b1 g0 g1 r0 r1 . ., of both pixels */
    const __m128i pairs = _mm_setr_epi8(0, 3, 1, 4, 2, 5, 6, 7,
                                        8, 11, 9, 12, 10, 13, 14, 15);
    __m128i bytes = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)one),
                                       _mm_loadl_epi64((const __m128i *)two));
    __m256i values = _mm256_cvtepu8_epi16(_mm_shuffle_epi8(bytes, pairs));
    return _mm256_srli_epi32(_mm256_madd_epi16(values, *weights), 4);
}

/* Mix the columns of a source row. */
AVX2 static void
mix_columns(const Crop *crop, Py_ssize_t number, const Scratch *scratch,
            int16_t *out)
{
    const uint8_t *row = crop->frame + number * crop->frame_stride;
    const __m256i *weights = scratch->weights;
    Py_ssize_t x = 0;
    for (; x < scratch->wide; x += 4, weights += 2) {
        const int32_t *at = scratch->offsets + x;
        /* Packing swaps the middle two of four. */
        __m256i mixed = _mm256_packs_epi32(
            mix_two(row + at[0], row + at[2], weights),
            mix_two(row + at[1], row + at[3], weights + 1));
        _mm256_storeu_si256((__m256i *)(out + 4 * x), mixed);
    }
    for (; x < crop->width; x++) {
        const uint8_t *pixel = row + 3 * crop->columns[x];
        const int16_t *weights = crop->column_weights + 2 * x;
        for (int c = 0; c < 3; c++) {
            int sum = pixel[c] * weights[0];
            if (weights[1]) /* else there may be no next column */
                sum += pixel[3 + c] * weights[1];
            out[4 * x + c] = (int16_t)(sum >> 4);
        }
        out[4 * x + 3] = 0;
    }
}

/* Write four pixels, (b g r x) bytes, to column `to` and after. */
AVX2 static inline void
write_four(const Crop *crop, uint8_t *row, Py_ssize_t to, __m128i pixels)
{
    if (crop->pixel_stride == 1) {
        /* -> b x 4, g x 4, r x 4, x x 4 */
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
        /* -> r g b x 4 */
        const __m128i rgb = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9,
                                          8, 14, 13, 12, -1, -1, -1, -1);
        pixels = _mm_shuffle_epi8(pixels, rgb);
        int32_t last = _mm_extract_epi32(pixels, 2);
        _mm_storel_epi64((__m128i *)(row + 3 * to), pixels);
        memcpy(row + 3 * to + 8, &last, 4);
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
    Py_ssize_t x = 0;
    for (; x + 4 <= crop->width; x += 4) {
        __m256i one = _mm256_loadu_si256((const __m256i *)(first + 4 * x));
        __m256i two = _mm256_loadu_si256((const __m256i *)(second + 4 * x));
        __m256i sum = _mm256_add_epi16(_mm256_mulhi_epi16(one, weight_1),
                                       _mm256_mulhi_epi16(two, weight_2));
        sum = _mm256_srai_epi16(_mm256_add_epi16(sum, half), 2);
        __m128i pixels = _mm_packus_epi16(_mm256_castsi256_si128(sum),
                                          _mm256_extracti128_si256(sum, 1));
        if (crop->flip)
            write_four(crop, row, crop->width - 4 - x,
                       _mm_shuffle_epi32(pixels, reverse));
        else
            write_four(crop, row, x, pixels);
    }
    for (; x < crop->width; x++) {
        Py_ssize_t to = crop->flip ? crop->width - 1 - x : x;
        for (int c = 0; c < 3; c++) {
            int sum = ((first[4 * x + c] * weights[0]) >> 16)
                    + ((second[4 * x + c] * weights[1]) >> 16);
            row[(2 - c) * crop->plane_stride + to * crop->pixel_stride]
                = (uint8_t)((sum + 2) >> 2);
        }
    }
}

AVX2 static int
resize(const Crop *crop)
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
            mix_columns(crop, rows[0], &scratch, first);
        if (in_second != rows[1])
            mix_columns(crop, rows[1], &scratch, second);
        in_first = rows[0];
        in_second = rows[1];
        mix_rows(crop, y, first, second);
    }
    _mm_free(scratch.weights);
    return 1;
}

/* The arguments that are arrays. */
enum { FRAME, COLUMNS, COLUMN_WEIGHTS, ROWS, ROW_WEIGHTS, PLANES, NUM_ARRAYS };

static const struct {
    const char *name, *format;
    int ndim;
} ARRAYS[NUM_ARRAYS] = {
    {"frame", "B", 3}, {"columns", "i", 1}, {"column_weights", "h", 2},
    {"rows", "i", 2}, {"row_weights", "h", 2}, {"planes", "B", 3},
};

static int
get_array(PyObject *object, int which, Py_buffer *view)
{
    int flags = which == PLANES ? PyBUF_RECORDS
              : which == FRAME ? PyBUF_RECORDS_RO
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

/* Whether the shapes of the arrays, and their order in memory, fit. */
static int
shapes_fit(const Py_buffer *views)
{
    const Py_buffer *frame = views + FRAME, *planes = views + PLANES;
    const Py_ssize_t *shape = planes->shape;
    return frame->shape[2] == 3 && frame->strides[2] == 1
        && pixels_are_apart(frame, 1, 3)
        && shape[0] == 3
        && (pixels_are_apart(planes, 2, 1)
            || (pixels_are_apart(planes, 2, 3) && planes->strides[0] == 1))
        && views[ROWS].shape[0] == shape[1] && views[ROWS].shape[1] == 2
        && views[ROW_WEIGHTS].shape[0] == shape[1]
        && views[ROW_WEIGHTS].shape[1] == 2
        && views[COLUMNS].shape[0] == shape[2]
        && views[COLUMN_WEIGHTS].shape[0] == shape[2]
        && views[COLUMN_WEIGHTS].shape[1] == 2;
}

/* Whether only pixels of the frame will be read. */
static int
stays_inside(const Crop *crop, Py_ssize_t frame_height)
{
    int good = 1;
    for (Py_ssize_t i = 0; i < 2 * crop->height; i++)
        good &= crop->rows[i] >= 0 && crop->rows[i] < frame_height;
    int32_t last = 0; /* they ascend: get_scratch() looks at the last ones */
    for (Py_ssize_t i = 0; i < crop->width; i++) {
        int32_t column = crop->columns[i];
        int has_next = column + 1 < crop->frame_width;
        good &= column >= last && column < crop->frame_width
             && (has_next || !crop->column_weights[2 * i + 1]);
        last = column;
    }
    return good;
}

static int
run(const Py_buffer *views, int flip)
{
    if (!shapes_fit(views)) {
        PyErr_SetString(PyExc_ValueError, "the arrays do not fit each other");
        return 0;
    }
    Crop crop = {
        .frame = views[FRAME].buf,
        .frame_width = views[FRAME].shape[1],
        .frame_stride = views[FRAME].strides[0],
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
    if (!stays_inside(&crop, views[FRAME].shape[0])) {
        PyErr_SetString(PyExc_ValueError,
                        "rows or columns are outside of the frame");
        return 0;
    }
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = resize(&crop);
    Py_END_ALLOW_THREADS
    if (!done)
        PyErr_NoMemory();
    return done;
}

static PyObject *
resize_crop(PyObject *module, PyObject *args)
{
    PyObject *arrays[NUM_ARRAYS];
    Py_buffer views[NUM_ARRAYS];
    int flip, held = 0, done = 0;
    if (!PyArg_ParseTuple(args, "OOOOOOp", arrays, arrays + 1, arrays + 2,
                          arrays + 3, arrays + 4, arrays + 5, &flip))
        return NULL;
    while (held < NUM_ARRAYS && get_array(arrays[held], held, views + held))
        held++;
    if (held == NUM_ARRAYS)
        done = run(views, flip);
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
