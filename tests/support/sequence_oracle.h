/* The formulas of layers that work on sequences, for tests/support/layer_oracle.c: each fills linear_output, or the input
 * gradients, which are 0, and adds to the weight gradient. */
#ifndef TP_TESTS_SEQUENCE_ORACLE_H
#define TP_TESTS_SEQUENCE_ORACLE_H

#include "tests/support/layer_oracle.h"

void embedding_oracle_forward(const struct layer_oracle *oracle);
void embedding_oracle_backward(const struct layer_oracle *oracle);
void rms_norm_oracle_forward(const struct layer_oracle *oracle);
void rms_norm_oracle_backward(const struct layer_oracle *oracle);
double rms_norm_oracle_amplification(const struct layer_oracle *oracle);
void layer_norm_oracle_forward(const struct layer_oracle *oracle);
void layer_norm_oracle_backward(const struct layer_oracle *oracle);
double layer_norm_oracle_amplification(const struct layer_oracle *oracle);
void rope_oracle_forward(const struct layer_oracle *oracle);
void rope_oracle_backward(const struct layer_oracle *oracle);
void attention_oracle_forward(const struct layer_oracle *oracle);
void attention_oracle_backward(const struct layer_oracle *oracle);
void silu_oracle_forward(const struct layer_oracle *oracle);
void silu_oracle_backward(const struct layer_oracle *oracle);
void gelu_oracle_forward(const struct layer_oracle *oracle);
void gelu_oracle_backward(const struct layer_oracle *oracle);
void multiply_oracle_forward(const struct layer_oracle *oracle);
void multiply_oracle_backward(const struct layer_oracle *oracle);

#endif
