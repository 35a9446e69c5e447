/* max_pool2d with the indices of the maxima, and its gradient, for `toeplitz verify`:
 *
 *     cc -O2 -o max_pool2d max_pool2d.c
 *     toeplitz verify --exec ./max_pool2d --backward ./max_pool2d --op max_pool2d
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long x_size[4], y_size[4]; /* items, channels, height, width */
static long kernel[2], stride[2], padding[2], dilation[2], ceil_mode;

static long count(const long size[4]) { return size[0] * size[1] * size[2] * size[3]; }

/* With ceil_mode windows may reach over the end, but none starts behind the input. */
static void measure(void)
{
    memcpy(y_size, x_size, sizeof y_size);
    for (int axis = 0; axis < 2; axis++) {
        long size = x_size[2 + axis], s = stride[axis], p = padding[axis];
        long rest = size + 2 * p - dilation[axis] * (kernel[axis] - 1) - 1;
        long windows = (rest + (ceil_mode ? s - 1 : 0)) / s + 1;
        if (ceil_mode && (windows - 1) * s >= size + p)
            windows--;
        y_size[2 + axis] = windows;
    }
}

/* Where the maximum of a window is in its plane: the first one; a NaN counts as the largest. */
static long maximum(const double *plane, long row, long column)
{
    long best = -1;
    for (long a = 0; a < kernel[0]; a++)
    for (long b = 0; b < kernel[1]; b++) {
        long i = row * stride[0] - padding[0] + a * dilation[0];
        long j = column * stride[1] - padding[1] + b * dilation[1];
        if (i < 0 || i >= x_size[2] || j < 0 || j >= x_size[3])
            continue;
        long at = i * x_size[3] + j;
        int nan = plane[at] != plane[at];
        if (best < 0 || plane[at] > plane[best] || (nan && plane[best] == plane[best]))
            best = at;
    }
    return best;
}

/* Take so many numbers from the bytes of a request. */
static double *take(const char **bytes, long n, int single)
{
    double *data = calloc(n + 1, sizeof *data);
    for (long i = 0; i < n; i++) {
        float narrow;
        if (single) {
            memcpy(&narrow, *bytes, sizeof narrow);
            data[i] = narrow;
        } else {
            memcpy(&data[i], *bytes, sizeof(double));
        }
        *bytes += single ? sizeof(float) : sizeof(double);
    }
    return data;
}

static void put(const double *data, long n, int single)
{
    for (long i = 0; i < n; i++) {
        float narrow = (float)data[i];
        fwrite(single ? (void *)&narrow : (void *)&data[i],
               single ? sizeof narrow : sizeof(double), 1, stdout);
    }
}

static void answer(const char *bytes, const char *dtype, int back)
{
    int single = strcmp(dtype, "float32") == 0;
    long cells = x_size[2] * x_size[3], windows = y_size[2] * y_size[3], outputs = count(y_size);
    double *g = take(&bytes, back ? outputs : 0, single);
    double *x = take(&bytes, count(x_size), single);
    double *y = calloc(outputs + 1, sizeof *y), *grad_x = calloc(count(x_size) + 1, sizeof *x);
    int64_t *indices = calloc(outputs + 1, sizeof *indices);
    for (long o = 0; o < outputs; o++) {
        long plane = o / windows * cells, place = o % windows;
        indices[o] = maximum(x + plane, place / y_size[3], place % y_size[3]);
        y[o] = x[plane + indices[o]];
        if (back)
            grad_x[plane + indices[o]] += g[o];
    }
    if (back) {
        printf("toeplitz 1 ok %s grad_x=%ld,%ld,%ld,%ld\n", dtype,
               x_size[0], x_size[1], x_size[2], x_size[3]);
        put(grad_x, count(x_size), single);
    } else {
        printf("toeplitz 1 ok %s y=%ld,%ld,%ld,%ld indices=%ld,%ld,%ld,%ld\n", dtype,
               y_size[0], y_size[1], y_size[2], y_size[3],
               y_size[0], y_size[1], y_size[2], y_size[3]);
        put(y, outputs, single);
        fwrite(indices, sizeof *indices, outputs, stdout); /* int64, whatever the dtype of y */
    }
    free(g), free(x), free(y), free(grad_x), free(indices);
}

int main(void)
{
    char role[16], dtype[16];
    while (scanf(" toeplitz 1 max_pool2d %15s %15s kernel_size=%ld,%ld stride=%ld,%ld"
                 " padding=%ld,%ld dilation=%ld,%ld ceil_mode=%ld", role, dtype,
                 &kernel[0], &kernel[1], &stride[0], &stride[1], &padding[0], &padding[1],
                 &dilation[0], &dilation[1], &ceil_mode) == 11) {
        int back = strcmp(role, "backward") == 0;
        long size;
        if (back)
            scanf(" g=%*d,%*d,%*d,%*d"); /* as large as y */
        if (scanf(" x=%ld,%ld,%ld,%ld bytes=%ld", &x_size[0], &x_size[1], &x_size[2],
                  &x_size[3], &size) != 5 || getchar() != '\n')
            return 1;
        char *bytes = malloc(size + 1);
        if (bytes == NULL || fread(bytes, 1, size, stdin) != (size_t)size)
            return 1;
        measure();
        if (strcmp(dtype, "float64") != 0 && strcmp(dtype, "float32") != 0)
            printf("toeplitz 1 unsupported dtype %s\n", dtype);
        else
            answer(bytes, dtype, back);
        fflush(stdout);
        free(bytes);
    }
    if (feof(stdin))
        return 0;
    fputs("this is no request for max_pool2d\n", stderr);
    return 1;
}
