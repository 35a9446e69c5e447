/* conv2d with both gradients, by direct loops, for `toeplitz verify`:
 *
 *     cc -O2 -o conv2d conv2d.c
 *     toeplitz verify --exec ./conv2d --backward ./conv2d
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { long size[4]; double *data; } Array; /* size[0] to size[3]; C order */

static long count(const Array *a) { return a->size[0] * a->size[1] * a->size[2] * a->size[3]; }

static double *at(const Array *a, long n, long c, long i, long j)
{
    return a->data + ((n * a->size[1] + c) * a->size[2] + i) * a->size[3] + j;
}

static long stride[2], padding[2], dilation[2], groups;

/* Every (output, input, weight) that the layer joins: y[n,o,p,q] reads x[n,c,i,j] through
 * w[o,k,a,b]. The forward pass sums into y; the backward pass sums into grad_x and grad_w. */
static void convolve(const Array *x, const Array *w, const Array *y,
                     const Array *grad_x, const Array *grad_w)
{
    long outputs = w->size[0] / groups, inputs = w->size[1];
    for (long n = 0; n < y->size[0]; n++)
    for (long o = 0; o < y->size[1]; o++)
    for (long p = 0; p < y->size[2]; p++)
    for (long q = 0; q < y->size[3]; q++)
    for (long k = 0; k < inputs; k++)
    for (long a = 0; a < w->size[2]; a++)
    for (long b = 0; b < w->size[3]; b++) {
        long c = o / outputs * inputs + k;
        long i = p * stride[0] - padding[0] + a * dilation[0];
        long j = q * stride[1] - padding[1] + b * dilation[1];
        if (i < 0 || i >= x->size[2] || j < 0 || j >= x->size[3])
            continue;
        double *out = at(y, n, o, p, q), *in = at(x, n, c, i, j), *weight = at(w, o, k, a, b);
        if (grad_x == NULL) {
            *out += *in * *weight;
        } else {
            *at(grad_x, n, c, i, j) += *out * *weight;
            *at(grad_w, o, k, a, b) += *out * *in;
        }
    }
}

static Array zeros(long n, long c, long i, long j)
{
    Array a = {{n, c, i, j}, NULL};
    a.data = calloc(count(&a) + 1, sizeof(double));
    return a;
}

/* Take the next array from the bytes of a request; sums are in double whatever the dtype. */
static void take(Array *a, const char **bytes, int single)
{
    *a = zeros(a->size[0], a->size[1], a->size[2], a->size[3]);
    for (long i = 0; i < count(a); i++) {
        float narrow;
        if (single) {
            memcpy(&narrow, *bytes, sizeof narrow);
            a->data[i] = narrow;
        } else {
            memcpy(&a->data[i], *bytes, sizeof(double));
        }
        *bytes += single ? sizeof(float) : sizeof(double);
    }
}

static void put(const Array *a, int single)
{
    for (long i = 0; i < count(a); i++) {
        float narrow = (float)a->data[i];
        if (single)
            fwrite(&narrow, sizeof narrow, 1, stdout);
        else
            fwrite(&a->data[i], sizeof(double), 1, stdout);
    }
}

static void forward(const char *bytes, const char *dtype, Array x, Array w, Array b)
{
    int single = strcmp(dtype, "float32") == 0;
    take(&x, &bytes, single);
    take(&w, &bytes, single);
    take(&b, &bytes, single);
    long size[2];
    for (int axis = 0; axis < 2; axis++)
        size[axis] = (x.size[2 + axis] + 2 * padding[axis]
                      - dilation[axis] * (w.size[2 + axis] - 1) - 1) / stride[axis] + 1;
    Array y = zeros(x.size[0], w.size[0], size[0], size[1]);
    long area = size[0] * size[1];
    for (long i = 0; i < count(&y) && b.size[0] > 0; i++)
        y.data[i] = b.data[i / area % y.size[1]];
    convolve(&x, &w, &y, NULL, NULL);
    printf("toeplitz 1 ok %s y=%ld,%ld,%ld,%ld\n", dtype,
           y.size[0], y.size[1], y.size[2], y.size[3]);
    put(&y, single);
    free(x.data), free(w.data), free(b.data), free(y.data);
}

static void backward(const char *bytes, const char *dtype, Array g, Array x, Array w)
{
    int single = strcmp(dtype, "float32") == 0;
    take(&g, &bytes, single);
    take(&x, &bytes, single);
    take(&w, &bytes, single);
    Array grad_x = zeros(x.size[0], x.size[1], x.size[2], x.size[3]);
    Array grad_w = zeros(w.size[0], w.size[1], w.size[2], w.size[3]);
    Array grad_b = zeros(w.size[0], 1, 1, 1);
    convolve(&x, &w, &g, &grad_x, &grad_w);
    for (long i = 0; i < count(&g); i++)
        grad_b.data[i / (g.size[2] * g.size[3]) % g.size[1]] += g.data[i];
    printf("toeplitz 1 ok %s grad_x=%ld,%ld,%ld,%ld grad_w=%ld,%ld,%ld,%ld grad_b=%ld\n", dtype,
           x.size[0], x.size[1], x.size[2], x.size[3],
           w.size[0], w.size[1], w.size[2], w.size[3], w.size[0]);
    put(&grad_x, single);
    put(&grad_w, single);
    put(&grad_b, single);
    free(g.data), free(x.data), free(w.data);
    free(grad_x.data), free(grad_w.data), free(grad_b.data);
}

int main(void)
{
    char role[16], dtype[16];
    while (scanf(" toeplitz 1 conv2d %15s %15s stride=%ld,%ld padding=%ld,%ld dilation=%ld,%ld"
                 " groups=%ld", role, dtype, &stride[0], &stride[1], &padding[0], &padding[1],
                 &dilation[0], &dilation[1], &groups) == 9) {
        int back = strcmp(role, "backward") == 0;
        Array g = {{1, 1, 1, 1}, NULL}, x = g, w = g, b = g;
        long size;
        if (back)
            scanf(" g=%ld,%ld,%ld,%ld", &g.size[0], &g.size[1], &g.size[2], &g.size[3]);
        scanf(" x=%ld,%ld,%ld,%ld", &x.size[0], &x.size[1], &x.size[2], &x.size[3]);
        scanf(" w=%ld,%ld,%ld,%ld", &w.size[0], &w.size[1], &w.size[2], &w.size[3]);
        if (!back)
            scanf(" b=%ld", &b.size[0]); /* 0: there is no bias */
        if (scanf(" bytes=%ld", &size) != 1 || getchar() != '\n')
            return 1;
        char *bytes = malloc(size + 1); /* read them all, whatever the answer will be */
        if (bytes == NULL || fread(bytes, 1, size, stdin) != (size_t)size)
            return 1;
        if (strcmp(dtype, "float64") != 0 && strcmp(dtype, "float32") != 0)
            printf("toeplitz 1 unsupported dtype %s\n", dtype);
        else if (x.size[1] != w.size[1] * groups || w.size[0] % groups != 0)
            printf("toeplitz 1 refused %ld channels, weights for %ld\n",
                   x.size[1], w.size[1] * groups);
        else if (!back && b.size[0] != 0 && b.size[0] != w.size[0])
            printf("toeplitz 1 refused %ld biases for %ld outputs\n", b.size[0], w.size[0]);
        else if (back)
            backward(bytes, dtype, g, x, w);
        else
            forward(bytes, dtype, x, w, b);
        fflush(stdout); /* or the answer stays here */
        free(bytes);
    }
    if (feof(stdin))
        return 0;
    fputs("this is no request for conv2d\n", stderr);
    return 1;
}
