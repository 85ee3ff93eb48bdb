// SPDX-License-Identifier: Apache-2.0
// No names beside those that the sources themselves hold.
